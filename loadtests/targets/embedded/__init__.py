"""The embedded databases: DynamoDB Local and PostgreSQL, downloaded and started."""
