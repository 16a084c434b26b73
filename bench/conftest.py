"""Scripts beside the benchmarks that are run by themselves (`make bench-drivers`)."""

collect_ignore_glob = ["bench_drivers.py", "bench_validity.py", "drivers_*.py"]
