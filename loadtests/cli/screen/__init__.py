"""What the terminal shows while a verb works."""
