"""Decisions of the gate under injected stalls, and the safety of the hiccup meters."""
