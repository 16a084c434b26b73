"""Statistics of latency samples: quantiles, autocorrelation, ratios, multiple testing."""
