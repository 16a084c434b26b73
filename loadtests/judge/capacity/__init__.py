"""The verdict on a capacity run: each step, and the highest sustained rate."""
