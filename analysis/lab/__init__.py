"""Calibration samplers against each other: what they draw, what it does to scales and errors."""
