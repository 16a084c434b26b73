"""The hot path: dispatcher, timers, heartbeat. With `load/locust`, the only gevent code."""
