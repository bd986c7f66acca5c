"""`idtd export`: run → distilled set."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from idtd_cli import distilled, documents, storage
from idtd_cli.distilled import DistilledSet, SetDocument, other_forms
from idtd_cli.distilled.other_forms import Form, FormDocument
from idtd_cli.errors import InputError
from idtd_cli.recipe import ExportConfig
from idtd_cli.run_folder import RunFolder
from idtd_cli.runlog import Progress

#: Frames a second of the video files. A stored clip has no rate of its own (its frames are spread over a video of any
#: length); eight a second lets a person see what a short clip holds.
_FPS = 8


def run(
    run_folder: Path, out: Path, config: ExportConfig, progress: Progress, also: Sequence[Form] = ()
) -> SetDocument:
    """Write a finished run as a distilled set; a set already made from this run is left as it is.

    Args:
        run_folder: a finished run.
        out: gets the set.
        config: how its clips lie in the shards.
        progress: where to report to.
        also: forms for other programs. Each gets a folder beside `out`, unless it is there.

    Raises:
        InputError: the run is not finished, or `out`, or the folder of a form, holds something else.
        IdtdError: a file does not read back as it was written.
    """
    document = _set(run_folder, out, config, progress)
    for form in dict.fromkeys(also):
        _form(out, form, progress)
    return document


def _set(run_folder: Path, out: Path, config: ExportConfig, progress: Progress) -> SetDocument:
    source = RunFolder.open(run_folder)
    made = source.document
    parents = {"run": made.digest(), "prepared": made.parents["prepared"]}
    if (out / SetDocument.FILE).is_file():
        try:
            document = documents.read(SetDocument, out)
        except InputError as error:  # its hint is this very command
            raise InputError(error.message, "Remove it, or name a new folder.") from error
        if document.parents != parents:
            raise InputError(f"{out} was exported from another run.", "Name a new folder.")
        if document.export != config:
            settings = f"payload {document.export.payload}, shards of {document.export.shard_mb:g} MB"
            raise InputError(f"{out} was exported with {settings}.", "Name a new folder.")
        storage.forget(out)
        progress.note(f"{out} already holds this run's set: nothing to do.")
        return document

    videos_NT3HW, labels_N, logits_NKC = source.result()
    values, parameters = made.stored_values, made.stored_parameters
    document = SetDocument(
        parents=parents,
        method=made.method,
        seed=made.recipe.distill.seed,
        selection=made.recipe.distill.selection if made.recipe.distill.validates else "last",
        classes=made.classes,
        ipc=made.recipe.distill.ipc,
        videos_a_class=made.recipe.distill.videos_a_class,
        clip=made.clip,
        frames=made.frames,
        segments=made.segments,
        mean=made.mean,
        std=made.std,
        temperature=None if logits_NKC is None else made.recipe.distill.soft_labels.temperature,
        evaluate=made.recipe.evaluate,
        stored_frames=math.ceil(values / videos_NT3HW[0, 0].numel()),
        stored_bytes=values + 4 * parameters,
        stored_parameters=parameters,
        fps=_FPS,
        export=config,
        recipe=made.recipe,
        device=made.device,
        versions=made.versions,
    )
    with storage.new_folder(out, progress.note) as staging, progress.stage("export", 2 * len(labels_N)) as bar:
        document = distilled.write(staging, document, videos_NT3HW, labels_N, logits_NKC, bar.advance)
    if config.payload == "video" and document.payload_bytes > videos_NT3HW.numel():
        progress.note("These clips are like noise: with `--payload tensor` the shards would be smaller.")
    return document


def _form(out: Path, form: Form, progress: Progress) -> None:
    folder = other_forms.place(out, form)
    if (folder / FormDocument.FILE).is_file():
        if documents.read(FormDocument, folder).parents != other_forms.parents(out):
            raise InputError(f"{folder} was made from another set than {out}.", "Remove it, or name a new folder.")
        storage.forget(folder)
        progress.note(f"{folder} already holds this set: nothing to do.")
        return
    opened = DistilledSet.open(out)
    with storage.new_folder(folder, progress.note) as staging:
        other_forms.write(staging, opened, form)
    progress.note(f"{folder} holds it for other programs; {FormDocument.FILE} says how.")
