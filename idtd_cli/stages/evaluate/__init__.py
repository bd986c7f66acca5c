"""`idtd evaluate`: sets + prepared set → report, with random real clips and the full data beside them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from idtd_cli import documents, provenance, storage
from idtd_cli.baselines.random_clips import random_clips
from idtd_cli.errors import InputError
from idtd_cli.method.normalisation import Normalisation
from idtd_cli.method.real_clips import RealClips
from idtd_cli.prepared import PreparedSet
from idtd_cli.recipe import EvaluateConfig, Recipe, section_digest
from idtd_cli.report import html, markdown, summary
from idtd_cli.report.contact_sheet import contact_sheet, frames_last
from idtd_cli.report.document import ReportDocument
from idtd_cli.report.videos import shown
from idtd_cli.runlog import Progress, Task
from idtd_cli.stages import clips
from idtd_cli.stages.evaluate import other_sets, scores, trained_on
from idtd_cli.stages.evaluate.judged import Judged, differences
from idtd_cli.stages.evaluate.other_sets import OtherSet
from idtd_cli.stages.evaluate.scores import Scores
from idtd_cli.stages.evaluate.trained_on import Distilled, TrainedOn
from idtd_cli.students import registry, scoring
from idtd_cli.students.predictions import Predictions

PAGE = "report.html"
TEXT = "report.md"
SHEET = "clips.png"


def run(
    sets: Sequence[str | Path], prepared: Path, out: Path, recipe: Recipe, device: str, progress: Progress
) -> ReportDocument:
    """Train students on each set, on random real clips of the same count and on the full data; score them once.

    Args:
        sets: folders of distilled sets, or addresses of sets that other tools made (`other_sets`).
        prepared: the prepared set with the real clips.
        out: the report folder, new, or that of this same evaluation; one of fewer sets, students or architectures
            grows, and no student that was scored for it is trained again.
        recipe: its `evaluate` section is the protocol.
        device: "cpu" or "cuda".
        progress: where to report to.

    Raises:
        InputError: a set does not fit the prepared set, or `out` holds something else.
    """
    config = recipe.evaluate
    source = PreparedSet.open(prepared)
    document = source.document
    opened = [_opened(one, source, recipe, device, progress) for one in sets]
    for number, each in enumerate(opened):
        if each.path.resolve() in [other.path.resolve() for other in opened[:number]]:
            raise InputError(f"{each.path} is named twice.", "Name each set once.")
    parents = {"prepared": document.digest(), "evaluate": section_digest(_deciding(config))}
    parents |= {f"set {number}": one.digest for number, one in enumerate(opened, start=1)}
    if (out / ReportDocument.FILE).is_file():
        report = documents.read(ReportDocument, out)
        if not _is_part(report, parents, config):
            raise InputError(f"{out} holds another evaluation.", "Name a new folder.")
        if report.parents == parents and report.protocol == config:
            progress.note(f"{out} already holds this evaluation: nothing to do.")
            return report
    elif not storage.is_empty(out) and not (out / scores.FILE).is_file():
        raise InputError(f"{out} already holds something else.", "Name an empty or a new folder.")

    clip, classes = document.clip, len(document.classes)
    normalisation = Normalisation(document.mean, document.std, device)
    task = registry.Task(classes, clip.frames, clip.height, clip.width)
    architectures = [config.student.model_copy(update={"name": name}) for name in (config.student.name, *config.across)]
    for architecture in architectures:
        registry.build(architecture, task, 0, "cpu")  # one that cannot take these clips stops here
    real = RealClips(*clips.load(source, "train", device, progress), classes)
    things = trained_on.every(opened, real, source, config, device)
    held = clips.held(source, "val" if config.split == "validation" else "test", config.scoring, device, progress)
    if not len(held.labels_N):
        raise InputError(
            f"{prepared} has no {config.split} clips.", "Prepare it with prepare.split.validation above 0."
        )

    def predict(
        protocol: EvaluateConfig, thing: TrainedOn, number: int, watch: Callable[[int, torch.Tensor], None]
    ) -> Predictions:
        return scoring.score(protocol, number, task, normalisation, thing.videos(number), thing.segments, held, watch)

    storage.make_folder(out)  # everything that can be wrong with the input was looked at
    known = Scores(out, provenance.hardware(device))
    protocols = [config.model_copy(update={"student": each, "across": ()}) for each in architectures]
    decides = [parents["prepared"] + section_digest(_deciding(protocol)) for protocol in protocols]
    students = [(d, thing, number) for d in decides for thing in things for number in range(thing.students)]
    done = sum(config.fit.updates(thing.pieces) for d, thing, n in students if known.knows(d, thing.digest, n))
    judged = []
    # Updates, not students, so that the bar moves and the time left is known while one trains.
    with progress.stage("evaluate", sum(config.fit.updates(thing.pieces) for _, thing, _ in students), done) as bar:
        for protocol, decided in zip(protocols, decides, strict=True):
            for thing in things:
                said, seconds = [], 0.0
                for number in range(thing.students):
                    facts = {"trained_on": thing.set or thing.method, "student": f"{number + 1} of {thing.students}"}
                    if len(protocols) > 1:
                        facts["architecture"] = protocol.student.name
                    train = partial(predict, protocol, thing, number, partial(_advance, bar, facts))
                    one, took = known.get_or_compute(decided, thing.digest, number, train)
                    bar.advance(0, **facts, top1=one.top(1))
                    said.append(one)
                    seconds += took
                judged.append(Judged(thing, protocol.student.name, said, seconds))

    report = ReportDocument(
        parents=parents,
        source=document.source,
        classes=document.classes,
        chance=1 / classes,
        scored_split=config.split,
        scored_videos=len(held.labels_N),
        protocol=config,
        results=tuple(one.result(held.labels_N.cpu(), classes) for one in judged),
        differences=tuple(differences([one for one in judged if one.student == config.student.name])),
        hardware="; ".join(known.hardware),
        versions=provenance.versions(),
    )
    columns = _columns(opened, real, clip.frames)
    contact_sheet(document.classes, columns).save(out / SHEET)
    storage.write_text(out / PAGE, html.render(report, shown(document.classes, columns)))
    storage.write_text(out / TEXT, markdown.render(report))
    report.write(out)  # last: it marks the folder as complete
    return report


def _advance(bar: Task, facts: dict[str, str], _step: int, _loss: torch.Tensor) -> None:
    """One update of a student is done. The loss is not looked at: that would wait for the GPU."""
    bar.advance(1, **facts)


def _opened(
    one: str | Path, source: PreparedSet, recipe: Recipe, device: str, progress: Progress
) -> Distilled | OtherSet:
    if other_sets.is_other(str(one)):
        return other_sets.find(str(one), source, recipe.prepare.decode, device, progress)
    return Distilled.fitting(Path(one), source, recipe.evaluate.lossy)


def _deciding(config: EvaluateConfig) -> EvaluateConfig:
    """What decides the score of a student: not how many others there are, nor on what else they are trained."""
    return config.model_copy(update={"students": 1, "full_students": 0, "across": (), "plain": False, "lossy": False})


def _is_part(old: ReportDocument, parents: dict[str, str], config: EvaluateConfig) -> bool:
    """True if an evaluation of these would hold all that the old one does."""
    was = old.protocol
    return (
        all(old.parents[name] == parents[name] for name in ("prepared", "evaluate"))
        and {*old.parents.values()} <= {*parents.values()}
        and was.students <= config.students
        and was.full_students <= config.full_students
        and set(was.across) <= set(config.across)
        and was.plain <= config.plain
        and was.lossy <= config.lossy
    )


def _columns(sets: Sequence[Distilled | OtherSet], real: RealClips, frames: int) -> dict[str, NDArray[np.uint8]]:
    """To look at: a random real clip of each class, and each method's first video of each class."""
    generator = torch.Generator(real.videos_NF3HW.device).manual_seed(0)
    columns = {"real": frames_last(random_clips(real, 1, frames, generator))}
    for one in sets:
        called = summary.TITLES["other" if isinstance(one, OtherSet) else one.document.method]
        if called not in columns:
            columns[called] = frames_last(one.example_CT3HW())
    return columns
