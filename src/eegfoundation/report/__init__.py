"""The report: one HTML page about one recording.

`make` gathers, `measures` computes, `figures` draws (in the looks of `drawing`), `page` words.
"""

from eegfoundation.report.make import make_report, report

__all__ = ["make_report", "report"]
