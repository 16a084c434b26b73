"""PostgreSQL stores: one module per driver, and the statements that all drivers share."""
