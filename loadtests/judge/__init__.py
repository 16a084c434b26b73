"""What the numbers mean: statistics, limits, baselines and the verdict, from a run folder alone."""
