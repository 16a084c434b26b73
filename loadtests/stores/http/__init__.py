"""The wire driver's HTTP/1.1 client: connection, parser, TLS, signing."""
