"""A DynamoDB named by URL or `aws`: resolved, reached, and its clients for set-up and checks."""
