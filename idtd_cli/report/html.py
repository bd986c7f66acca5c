"""The report as one HTML file that needs no other."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from itertools import groupby

import jinja2
from markupsafe import Markup

from idtd_cli.report import chart, summary
from idtd_cli.report.caveats import caveats
from idtd_cli.report.document import ReportDocument, Result
from idtd_cli.report.videos import Shown

#: Cells of confusion matrices that a page holds: of 60 classes, four sets.
_MOST_CELLS = 15_000


@dataclass(frozen=True)
class _Bar:
    """A result as a bar; lengths in per cent."""

    name: str
    colour: str
    mean: float
    low: float
    high: float
    students: tuple[float, ...]

    @classmethod
    def of(cls, result: Result) -> _Bar:
        low, high = result.interval
        students = tuple(100 * value for value in result.top1.values)
        colour = chart.colour(result.method)
        return cls(summary.name(result), colour, 100 * result.top1.mean, 100 * low, 100 * high, students)


def render(report: ReportDocument, videos: Shown) -> str:
    """The page: what came out, warnings, table and charts, videos, protocol, provenance. Text from data is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("idtd_cli.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    script = environment.get_template("report.js").render().strip()
    results = summary.ordered(report)
    confusions, rest = _confusions(report)
    return environment.get_template("report.html").render(
        report=report,
        summary=summary,
        caveats=caveats(report),
        sizes=[(ipc, [_Bar.of(result) for result in same]) for ipc, same in groupby(results, lambda r: r.ipc)],
        curves=[(curve, chart.colour(curve.method)) for curve in chart.curves(report)],
        # Drawn by us from numbers: nothing in it to escape. The same for the script, which is ours.
        chart=Markup(chart.curves_svg(report)),
        script=Markup(script),
        script_digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        confusions=confusions,
        confusions_left=rest,
        videos=videos,
    )


def _confusions(report: ReportDocument) -> tuple[list[Result], int]:
    """The sets whose confusion matrices fit into a page, and how many do not."""
    sets = [result for result in summary.ordered(report) if result.set]
    fit = _MOST_CELLS // len(report.classes) ** 2
    return sets[:fit], max(0, len(sets) - fit)
