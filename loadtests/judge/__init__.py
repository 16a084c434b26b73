"""What the numbers mean: statistics, limits, baselines and the verdict, from a run folder alone.

::

    measured ──► bounded ──────► family ──────► judging ──► verdict, sentences
    (checked     (an interval    (all limits    (a status   (stored in run.json)
     series)      for each limit) at once)       for each)

    samples, likeness, quantiles, ratios, shares, distributions   the statistics, pure
    slo, fingerprint, baseline                                    what a run is held against
    comparison, interleaved                                       is one slower than the other?
    extension                                                     when to measure for longer
    history                                                       figures over time
    recordings, gate_calibration, calibration_table               what all this is worth

docs/decisions/verdict.md has the reasons.
"""
