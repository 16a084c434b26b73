"""The processes that a verb starts for a run, and how they are followed and ended."""
