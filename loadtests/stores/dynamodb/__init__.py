"""DynamoDB stores: one module per driver, and the requests that all drivers share."""
