"""`idtd compare`: reports → one table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from idtd_cli import documents
from idtd_cli.errors import InputError
from idtd_cli.report.comparison import Comparison, comparison, differing
from idtd_cli.report.document import ReportDocument


def run(folders: Sequence[Path]) -> Comparison:
    """Put the results of finished evaluations into one table.

    Raises:
        InputError: a folder holds no report, or reports were not measured alike; every key that differs is named.
    """
    # A report that is named twice, or copied, stands once.
    read = {(report := documents.read(ReportDocument, folder)).digest(): (str(folder), report) for folder in folders}
    reports = dict(read.values())
    first, *others = reports
    apart = {other: differing(reports[first], reports[other]) for other in others}
    told = [f"  {other}: {'; '.join(keys)}" for other, keys in apart.items() if keys]
    if told:
        raise InputError(
            f"Not measured as {first} was, and so not to be ranked with it:\n" + "\n".join(told) + "\n",
            "Evaluate the sets again, with the same recipe and prepared set; or compare those that agree.",
        )
    return comparison(reports)
