"""`idtd show`: what is this folder? And of a prepared set: what do its clips look like, how redundant are they?"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from itertools import groupby
from pathlib import Path
from typing import Any

from idtd_cli import documents, storage
from idtd_cli.distilled import SetDocument
from idtd_cli.distilled.other_forms import FormDocument
from idtd_cli.documents import Document
from idtd_cli.errors import InputError
from idtd_cli.experts_folder import ExpertsDocument
from idtd_cli.prepared import PreparedDocument, PreparedSet
from idtd_cli.report import chart, summary, table, text
from idtd_cli.report import redundancy as measure
from idtd_cli.report.contact_sheet import contact_sheet, frames_last, png
from idtd_cli.report.document import ReportDocument
from idtd_cli.report.table import TableDocument
from idtd_cli.run_folder import METRICS, RunDocument
from idtd_cli.runlog import Progress, read_steps
from idtd_cli.stages.demo_data import DemoDocument

_MOST_CLASSES = 12
#: Of the contact sheet: rows, clips in a row, and pixels that a frame is wide at least and at most.
_SHEET_CLASSES, _SHEET_CLIPS, _SHEET_WIDTHS = 60, 2, (96, 112)
_PAYLOADS = {"video": "lossless H.264", "tensor": "tensors"}


def run(path: Path) -> str:
    """One screen of text about any folder that idtd wrote.

    Raises:
        InputError: no folder, or none of ours, or a damaged one.
    """
    folder = _folder(path)
    for document, describe in _DESCRIBED.items():
        if (folder / document.FILE).is_file():
            return describe(folder, documents.read(document, folder))
    known = ", ".join(document.FILE for document in _DESCRIBED)
    if path != folder:
        raise InputError(
            f"{path} is nothing that idtd can describe, nor is its folder.", "Name a folder that idtd made."
        )
    inside = [sub.name for sub in sorted(folder.iterdir()) if any((sub / d.FILE).is_file() for d in _DESCRIBED)]
    raise InputError(
        f"{folder} is nothing that idtd can describe: it holds none of {known}.",
        f"Name one of its folders: {', '.join(inside)}." if inside else "Name a folder that idtd made.",
    )


def sheet(path: Path, out: Path) -> str:
    """Draw some training clips of each class of a prepared set into a PNG file; say what was drawn.

    Raises:
        InputError: no prepared set, or a damaged one; `out` is no name for a PNG file.
    """
    _check_picture(out)
    source = PreparedSet.open(_folder(path))
    classes = source.document.classes
    of_class = [list(rows) for _, rows in groupby(source.rows("train"), key=lambda row: row.label)][:_SHEET_CLASSES]
    clips = min(_SHEET_CLIPS, *map(len, of_class))
    columns = {}
    for column in range(clips):
        # Far apart in the list: neighbours are often pieces of one recording.
        picked = [rows[len(rows) * column // clips] for rows in of_class]
        clips_CF3HW = source.read(picked)[:, : source.document.clip.drawn_frames]
        columns["another" if column else "a training clip"] = frames_last(clips_CF3HW)
    width = source.document.clip.width
    least, most = _SHEET_WIDTHS
    sheet = contact_sheet(classes, columns, _SHEET_CLASSES, min(most, width * max(1, least // width)))
    storage.write_bytes(out, png(sheet))
    return f"{out}: {len(of_class)} of {len(classes)} classes, {clips} training clip{'s' * (clips > 1)} of each."


def redundancy(path: Path, plot: Path | None, progress: Progress) -> str:
    """Measure how redundant the training clips of each class of a prepared set are: a table, and a plot if asked for.

    Raises:
        InputError: no prepared set, or a damaged one, or one of a single class; `plot` is no name for a PNG file.
    """
    if plot:
        _check_picture(plot)
    source = PreparedSet.open(_folder(path))
    found = measure.measure(source, progress)
    if plot:
        storage.write_bytes(plot, chart.redundancy_png(found))
    head = (
        f"{source.document.source}: redundancy of the training clips, mean ± std over {measure.EMBEDDINGS} random "
        "embeddings\n1: all alike; 0: no more alike than the set as a whole"
    )
    return "\n\n".join([head, measure.table(found)])


def _folder(path: Path) -> Path:
    """The folder that a path names; any file of it stands for it."""
    if not path.exists():
        raise InputError(f"There is no {path}.", "Name a folder that idtd made.")
    return path if path.is_dir() else path.parent


def _check_picture(out: Path) -> None:
    if out.suffix.lower() != ".png" or out.is_dir():
        raise InputError(f"{out} is no name for a picture.", "Name a file that ends in .png.")
    if not out.parent.is_dir():
        raise InputError(f"{out} cannot be written: there is no folder {out.parent}.", "Make it, or name another one.")


def _prepared(folder: Path, document: Any) -> str:
    classes = document.classes
    rows = [("class", *document.counts)]
    rows += [(name, *(str(of.get(name, 0)) for of in document.counts.values())) for name in classes[:_MOST_CLASSES]]
    if len(classes) > _MOST_CLASSES:
        rows.append((f"… {len(classes) - _MOST_CLASSES} more", *("" for _ in document.counts)))
    rows.append(("all", *(str(sum(of.values())) for of in document.counts.values())))
    facts = {
        "source": f"{document.source} ({document.source_kind})",
        "clips": f"{document.clip.frames} frames of {_size(document.clip)}, {document.clip.stored_frames} frames "
        f"stored, {summary.size(document.bytes)}",
        "colours": f"red, green, blue: mean {_three(document.mean)}, std {_three(document.std)} of the training clips",
        "videos": _videos(document),
        "decoder": ", ".join(f"{name} {use.version} ({use.clips} clips)" for name, use in document.decoders.items()),
        "without": f"{document.rejected} videos rejected, {document.missing} missing"
        + (" (rejects.csv)" if document.rejected + document.missing else ""),
    }
    return _page(folder, document, facts) + "\n\n" + _aligned(rows)


def _three(values: tuple[float, float, float]) -> str:
    return " ".join(f"{value:.3f}" for value in values)


def _videos(document: Any) -> str:
    """How long and how large a source's videos are: medians, and the range where they differ."""

    def typical(spread: Any, digits: int) -> str:
        least, median, most = (f"{value:.{digits}f}" for value in (spread.least, spread.median, spread.most))
        return f"{median} ({least} to {most})" if least != most else median

    total = timedelta(seconds=round(document.seconds.total))
    sizes = f"{typical(document.width, 0)} x {typical(document.height, 0)} pixels"
    return f"{typical(document.seconds, 1)} s, {total} in all; {sizes}"


def _experts(folder: Path, document: Any) -> str:
    config, check = document.config, document.check
    trained = (
        f"{len(document.trajectories)} of {config.count}, {config.fit.steps} updates, a snapshot every {config.every}"
    )
    scored = f"{check.experts:.1%} of {check.clips} clips, a student {check.student:.1%}" if check else "not looked at"
    facts = {
        "network": document.network.name,
        "trained": trained,
        "validation": scored,
        "state": "finished" if document.finished else "unfinished",
        "next": f"idtd distill PREPARED RUN --set distill.matching=mtt --experts {folder}"
        if document.finished
        else f"idtd experts PREPARED {folder}",
    }
    return _page(folder, document, facts)


def _run(folder: Path, document: Any) -> str:
    config = document.recipe.distill
    last = max((line["step"] + 1 for line in read_steps(folder / METRICS)), default=0)
    state = (
        "finished" if document.result_sha256 else f"unfinished; step {last} of {config.steps} is the last one written"
    )
    facts = {
        "method": f"{document.method}, matching {config.matching}, {config.steps} steps, seed {config.seed}",
        "videos": f"{config.videos_a_class} a class of {_made(document)}",
        "state": state,
        "next": "idtd export" if document.result_sha256 else "idtd distill PREPARED RUN --resume",
    }
    return _page(folder, document, facts)


def _set(folder: Path, document: Any) -> str:
    rendered = ", from which the videos were rendered" if document.videos_a_class > document.ipc else ""
    facts = {
        "method": f"{document.method}, seed {document.seed}",
        "videos": f"{document.videos_a_class} a class of {_made(document)}",
        "stored": f"{document.stored_frames} frames, {summary.size(document.stored_bytes)} uncompressed{rendered}",
        "files": f"data/*.tar (the set: WebDataset, {_PAYLOADS[document.export.payload]}), videos/CLASS/*.mp4 (to look "
        "at), poster.png, preview.gif, filmstrips/CLASS.jpg",
        "train on it": f'idtd_cli.load("{folder}")',
    }
    return _page(folder, document, facts)


def _form(folder: Path, document: Any) -> str:
    return _page(folder, document, {"form": document.form, "classes": str(len(document.classes))} | document.files)


def _report(folder: Path, document: Any) -> str:
    return _page(folder, document, {"hardware": document.hardware}) + "\n\n" + text.render(document)


def _table(folder: Path, document: Any) -> str:
    return _page(folder, document, {"recipe": document.name}) + "\n\n" + table.render(document)


def _demo(folder: Path, document: Any) -> str:
    facts = {
        "videos": f"{document.classes} classes, {document.train} training and {document.test} test videos each",
        "size": f"{document.frames} frames of {document.size}x{document.size}",
        "next": f"idtd prepare {folder} OUT",
    }
    return _page(folder, document, facts)


_DESCRIBED: dict[type[Document], Callable[[Path, Any], str]] = {
    PreparedDocument: _prepared,
    ExpertsDocument: _experts,
    RunDocument: _run,
    SetDocument: _set,
    FormDocument: _form,
    ReportDocument: _report,
    TableDocument: _table,
    DemoDocument: _demo,
}


def _made(document: Any) -> str:
    return f"{len(document.classes)}, {document.frames} frames of {_size(document.clip)}, {document.segments} segments"


def _size(clip: Any) -> str:
    return f"{clip.height}x{clip.width}"


def _page(folder: Path, document: Document, facts: dict[str, str]) -> str:
    head = f"{folder}: {document.KIND}, written by {document.created_by}"
    return "\n".join([head, "", _aligned(list(facts.items()))])


def _aligned(rows: list[tuple[str, ...]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    padded = (zip(row, widths, strict=True) for row in rows)
    return "\n".join("  ".join(cell.ljust(width) for cell, width in row).rstrip() for row in padded)
