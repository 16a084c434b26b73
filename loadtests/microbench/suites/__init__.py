"""What is measured: the suites of micro-benchmarks and the calls they make."""
