"""The figures of every benchmark as CSV, one line for each, which bench/plot reads. Files are put together with cat."""

from __future__ import annotations

import argparse
import csv

# `count` is what a case's size is given by: keys, members, or connections.
COLUMNS = ("bench", "case", "pipeline", "count", "server", "metric", "value")


def add_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--csv", metavar="FILE", help="write the figures there too")


class Figures:
    """Writes each figure as it comes, so that those of an interrupted run remain. Without a file it does nothing."""

    def __init__(self, bench: str, path: str | None):
        self._bench = bench
        self._file = open(path, "w", newline="") if path else None
        self._write(COLUMNS)

    def add(self, case: str, server: str, metric: str, value: float, *, count: int, pipeline: int = 1) -> None:
        self._write((self._bench, case, pipeline, count, server, metric, f"{value:.6g}"))

    def _write(self, row: tuple[object, ...]) -> None:
        if self._file:
            csv.writer(self._file).writerow(row)
            self._file.flush()
