"""What the figures mean: limits, statistics, baselines and the verdict, from a run folder alone.

::

    run_samples ──► limit_estimate ──► stats/holm ──► judging ──► storing
    (checked        (an estimate       (all limits    (a status   (run.json)
     series)         and bounds for     at once)       for each,
                     each limit)                       sentences)

    stats/                              estimates, bounds and tests; pure
    slo, fingerprint, baseline          the limits, and what a run may be compared with
    comparison, interleaved,            is one run or subject slower than another?
    subject_verdict
    interim                             when a run is measured for longer
    capacity/                           each step of a capacity run, and its answer
    calibration/                        error rates of all this, on recorded runs
    history                             figures over time

docs/decisions/verdict.md has the reasons.
"""
