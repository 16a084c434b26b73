"""What the numbers mean: statistics, limits, baselines and the verdict, from a run folder alone.

::

    measured ──► bounded ──► family ──► judging ──► verdict, sentences
    (checked     (an interval (all limits  (a status     (stored in run.json)
     series)      per limit)   at once)     for each)

    samples, quantiles, ratios, shares, distributions: the statistics, pure
    slo, fingerprint, baseline: what a run is held against
"""
