"""The wire driver's HTTP/1.1 client: connection, response parser, transports, TLS, signing."""
