"""Whether the gate sees that an endpoint got slower, and by nothing else."""
