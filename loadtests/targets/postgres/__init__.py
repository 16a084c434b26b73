"""PostgreSQL by DSN: its connection settings, how it is reached, and what its refusals mean."""
