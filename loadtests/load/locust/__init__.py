"""The part of a load run that lives inside Locust."""
