"""A report on one quantized model: a single HTML file that needs nothing but a browser."""

from analysis.report.build import build_report

__all__ = ["build_report"]
