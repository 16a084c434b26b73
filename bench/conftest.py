"""Scripts beside the benchmarks that are run by themselves (`make bench-drivers`)."""

collect_ignore_glob = ["bench_drivers.py", "drivers_*.py"]
