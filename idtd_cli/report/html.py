"""The report as one HTML file that needs no other."""

from __future__ import annotations

import base64
import io

import jinja2
from markupsafe import Markup
from PIL import Image

from idtd_cli.recipe import flat
from idtd_cli.report import chart, summary
from idtd_cli.report.document import ReportDocument

#: A confusion matrix of more classes is no picture any more.
_MOST_CLASSES = 60


def render(report: ReportDocument, sheet: Image.Image) -> str:
    """The page: summary, chart, table, contact sheet, protocol, provenance. All text from data is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("idtd_cli.report"), autoescape=True, undefined=jinja2.StrictUndefined
    )
    png = io.BytesIO()
    sheet.save(png, format="PNG")
    header, *rows = summary.table(report)
    return environment.get_template("report.html").render(
        report=report,
        header=header,
        rows=rows,
        notes=summary.notes(report),
        differences=summary.differences(report),
        per_class=summary.per_class(report),
        confusions=[
            (summary.name(result), result.ipc, result.confusion)
            for result in summary.ordered(report)
            if result.set and len(report.classes) <= _MOST_CLASSES
        ],
        # Drawn by us from numbers and our own titles: nothing in it to escape.
        chart=Markup(chart.accuracy_svg(report)),
        sheet=base64.b64encode(png.getvalue()).decode(),
        protocol=flat(report.protocol).items(),
    )
