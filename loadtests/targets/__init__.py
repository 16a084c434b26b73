"""Where the databases run: embedded, or named by URL or DSN."""
