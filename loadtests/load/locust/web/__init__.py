"""The part that lives inside Locust's web UI: who may use it, and the CloudShelf tab."""
