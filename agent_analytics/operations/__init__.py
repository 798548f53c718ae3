"""The operations database: the audit trail, incidents, notifications and run records."""
