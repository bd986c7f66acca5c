"""`idtd show`: what is this folder?"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from idtd_cli import documents
from idtd_cli.distilled import SetDocument
from idtd_cli.documents import Document
from idtd_cli.errors import InputError
from idtd_cli.prepared import PreparedDocument
from idtd_cli.report import summary
from idtd_cli.report.document import ReportDocument
from idtd_cli.run_folder import METRICS, RunDocument
from idtd_cli.runlog import read_lines
from idtd_cli.stages.demo_data import DemoDocument

_MOST_CLASSES = 12


def run(path: Path) -> str:
    """One screen of text about any folder that idtd wrote.

    Raises:
        InputError: no folder, or none of ours, or a damaged one.
    """
    if not path.exists():
        raise InputError(f"There is no {path}.")
    folder = path if path.is_dir() else path.parent
    for document, describe in _DESCRIBED.items():
        if (folder / document.FILE).is_file():
            return describe(folder, documents.read(document, folder))
    known = ", ".join(document.FILE for document in _DESCRIBED)
    inside = [sub.name for sub in sorted(folder.iterdir()) if any((sub / d.FILE).is_file() for d in _DESCRIBED)]
    raise InputError(
        f"{folder} is nothing that idtd can describe: it holds none of {known}.",
        f"Name one of its folders: {', '.join(inside)}." if inside else "",
    )


def _prepared(folder: Path, document: Any) -> str:
    classes = document.classes
    rows = [("class", *document.counts)]
    rows += [(name, *(str(of.get(name, 0)) for of in document.counts.values())) for name in classes[:_MOST_CLASSES]]
    if len(classes) > _MOST_CLASSES:
        rows.append((f"… {len(classes) - _MOST_CLASSES} more", *("" for _ in document.counts)))
    rows.append(("all", *(str(sum(of.values())) for of in document.counts.values())))
    facts = {
        "source": f"{document.source} ({document.source_kind})",
        "clips": _clip(document.clip) + f", {document.clip.stored_frames} frames stored",
        "size": summary.size(document.bytes),
        "decoder": f"{document.decoder} {document.decoder_version}",
        "rejected": f"{document.rejected} videos" + (" (rejects.csv)" if document.rejected else ""),
    }
    return _page(folder, document, facts) + "\n\n" + _aligned(rows)


def _run(folder: Path, document: Any) -> str:
    config = document.recipe.distill
    last = max((line["step"] + 1 for line in read_lines(folder / METRICS)), default=0)
    state = (
        "finished" if document.result_sha256 else f"unfinished; step {last} of {config.steps} is the last one written"
    )
    facts = {
        "method": f"{document.method}, matching {config.matching}, {config.steps} steps, seed {config.seed}",
        "videos": f"{config.ipc} a class of {_made(document)}",
        "state": state,
        "next": "idtd export" if document.result_sha256 else "idtd distill PREPARED RUN --resume",
    }
    return _page(folder, document, facts)


def _set(folder: Path, document: Any) -> str:
    facts = {
        "method": f"{document.method}, seed {document.seed}",
        "videos": f"{document.ipc} a class of {_made(document)}",
        "stored": f"{document.stored_frames} frames, {summary.size(document.stored_bytes)} uncompressed",
        "files": "clips.safetensors (lossless), data/*.tar (WebDataset), videos/*.mp4 (to look at)",
        "train on it": f'idtd_cli.load("{folder}")',
    }
    return _page(folder, document, facts)


def _report(folder: Path, document: Any) -> str:
    return _page(folder, document, {"hardware": document.hardware}) + "\n\n" + summary.render(document)


def _demo(folder: Path, document: Any) -> str:
    facts = {
        "videos": f"{document.classes} classes, {document.train} training and {document.test} test videos each",
        "size": f"{document.frames} frames of {document.size}x{document.size}",
        "next": f"idtd prepare {folder} OUT",
    }
    return _page(folder, document, facts)


_DESCRIBED: dict[type[Document], Callable[[Path, Any], str]] = {
    PreparedDocument: _prepared,
    RunDocument: _run,
    SetDocument: _set,
    ReportDocument: _report,
    DemoDocument: _demo,
}


def _made(document: Any) -> str:
    return f"{len(document.classes)}, {_clip(document.clip)}, {document.segments} segments"


def _clip(clip: Any) -> str:
    return f"{clip.frames} frames of {clip.height}x{clip.width}"


def _page(folder: Path, document: Document, facts: dict[str, str]) -> str:
    head = f"{folder}: {document.KIND}, written by {document.created_by}"
    return "\n".join([head, "", _aligned(list(facts.items()))])


def _aligned(rows: list[tuple[str, ...]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    padded = (zip(row, widths, strict=True) for row in rows)
    return "\n".join("  ".join(cell.ljust(width) for cell, width in row).rstrip() for row in padded)
