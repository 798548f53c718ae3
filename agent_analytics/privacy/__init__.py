"""What is held on a tenant or a user: found, given out, erased."""
