"""The supervisor: a process that owns the databases, so that they end with their run."""
