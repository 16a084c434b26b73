"""Arrival schedules: pure functions without a clock."""
