"""`idtd export`: run → distilled set."""

from __future__ import annotations

import math
from pathlib import Path

from idtd_cli import distilled, documents, storage
from idtd_cli.distilled import SetDocument
from idtd_cli.errors import InputError
from idtd_cli.run_folder import RunFolder
from idtd_cli.runlog import Progress

#: Frames a second of the video files. A stored clip has no rate of its own (its frames are spread over a video of any
#: length); eight a second lets a person see what a short clip holds.
_FPS = 8


def run(run_folder: Path, out: Path, progress: Progress) -> SetDocument:
    """Write a finished run as a distilled set; a set already made from this run is left as it is.

    Raises:
        InputError: the run is not finished, or `out` holds something else.
        IdtdError: a file does not read back as it was written.
    """
    source = RunFolder.open(run_folder)
    made = source.document
    parents = {"run": made.digest(), "prepared": made.parents["prepared"]}
    if (out / SetDocument.FILE).is_file():
        document = documents.read(SetDocument, out)
        if document.parents != parents:
            raise InputError(f"{out} was exported from another run.", "Name a new folder.")
        progress.note(f"{out} already holds this run's set: nothing to do.")
        return document

    videos_NT3HW, labels_N, logits_NKC = source.result()
    values, parameters = made.stored_values, made.stored_parameters
    document = SetDocument(
        parents=parents,
        method=made.method,
        seed=made.recipe.distill.seed,
        classes=made.classes,
        ipc=made.recipe.distill.ipc,
        videos_a_class=made.recipe.distill.videos_a_class,
        clip=made.clip,
        segments=made.segments,
        mean=made.mean,
        std=made.std,
        temperature=None if logits_NKC is None else made.recipe.distill.soft_labels.temperature,
        evaluate=made.recipe.evaluate,
        stored_frames=math.ceil(values / videos_NT3HW[0, 0].numel()),
        stored_bytes=values + 4 * parameters,
        stored_parameters=parameters,
        fps=_FPS,
        recipe=made.recipe,
    )
    with storage.new_folder(out) as staging, progress.stage("export", len(labels_N)) as bar:
        distilled.write(staging, document, videos_NT3HW, labels_N, logits_NKC)
        bar.advance(len(labels_N))
    return document
