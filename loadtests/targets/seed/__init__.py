"""The data set, the tables and schema, and how both databases are filled."""
