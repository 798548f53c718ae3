"""agent-analytics: from landed AI-agent events to marts that can be trusted."""

__version__ = "0.1.0"
