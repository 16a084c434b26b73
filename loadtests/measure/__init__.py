"""What was seen: the recorder, generator health and the run folder."""
