"""How often: open-loop arrivals, the workload, and the Locust users that carry them out."""
