"""What one call costs the client, driver by driver."""
