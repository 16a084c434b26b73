"""Figures of a report: chosen, rounded and put in order, before they are drawn or printed."""
