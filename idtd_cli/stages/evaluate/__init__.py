"""`idtd evaluate`: sets + prepared set → report, with random real clips and the full data beside them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from idtd_cli import documents, provenance, storage
from idtd_cli.baselines.random_clips import random_clips
from idtd_cli.errors import InputError
from idtd_cli.method.real_clips import RealClips
from idtd_cli.prepared import PreparedSet
from idtd_cli.recipe import EvaluateConfig, Recipe, section_digest
from idtd_cli.report import html, markdown, summary
from idtd_cli.report.contact_sheet import contact_sheet, frames_last, png
from idtd_cli.report.document import ReportDocument
from idtd_cli.report.videos import shown
from idtd_cli.runlog import Progress
from idtd_cli.stages.evaluate import other_sets, scores, students
from idtd_cli.stages.evaluate.judged import Judged, differences
from idtd_cli.stages.evaluate.other_sets import OtherSet
from idtd_cli.stages.evaluate.scores import Scores
from idtd_cli.stages.evaluate.students import Bench, Inputs, Student
from idtd_cli.stages.evaluate.trained_on import Distilled, Shelf

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
        recipe: its `evaluate` section is the protocol, and says where students are trained.
        device: "cpu" or "cuda".
        progress: where to report to.

    Raises:
        InputError: a set does not fit the prepared set, `out` holds something else or is being made by another
            process, or students cannot be trained where the recipe says.
        IdtdError: processes that train students are lost again and again.
    """
    with storage.growing_folder(out, progress.note) as scratch:
        config = recipe.evaluate.without_machine()
        source = PreparedSet.open(prepared)
        parents = {"prepared": source.document.digest(), "evaluate": section_digest(for_one_student(config))}
        # What is found wrong at no cost comes first: to read sets, and to compare digests, may take minutes.
        before = _begun(out, parents, config)
        _need_each_once(sets)
        shelf = Shelf()
        ours = {one: Distilled.fitting(Path(one), source, shelf) for one in sets if not other_sets.is_other(str(one))}
        _need_one_length(ours.values())
        students.need_fitting(config, source)
        if before is None:  # else there may be nothing left to train
            students.need_room(recipe.evaluate, device)

        for one in ours.values():
            one.read(config.lossy)
        opened = [
            ours.get(one) or other_sets.find(str(one), source, recipe.prepare.decode, device, progress) for one in sets
        ]
        parents |= {f"set {number}": one.digest for number, one in enumerate(opened, start=1)}
        if before:
            if not {*before.parents.values()} <= {*parents.values()}:
                raise _another(out)
            if before.parents == parents and section_digest(before.protocol) == section_digest(config):
                progress.note(f"{out} already holds this evaluation: nothing to do.")
                return before
        source.verify(progress)

        inputs = Inputs(
            f"{parents} {section_digest(config)} {device}",
            (parents["prepared"], *(one.digest for one in opened)),
            tuple(opened),
            prepared,
            config,
            device,
            torch.get_num_threads(),
            students.sharing(recipe.evaluate, device),
        )
        bench = Bench(inputs, progress)
        storage.make_folder(out)  # everything that can be wrong with the input was looked at
        storage.sweep(out)
        report = _report(bench, _said(bench, parents["prepared"], recipe.evaluate, out, progress), parents, source)
        columns = _columns(opened, bench.real)
        storage.write_bytes(out / SHEET, png(contact_sheet(report.classes, columns)))
        storage.write_text(out / PAGE, html.render(report, shown(report.classes, columns, scratch)))
        storage.write_text(out / TEXT, markdown.render(report))
        report.write(out)  # last: it marks the folder as complete
        return report


def _said(
    bench: Bench, prepared: str, config: EvaluateConfig, out: Path, progress: Progress
) -> dict[Student, students.Said]:
    """What each student says: those that did before, and those that are trained now.

    Args:
        bench: all that they are trained on.
        prepared: digest of the prepared set.
        config: says where they are trained, and how many at a time.
        out: the report folder, which remembers each at once.
        progress: where to report to.
    """
    for remark in students.remarks(config, bench.inputs.threads):
        progress.note(remark)
    known = Scores(out, progress)
    decides = [prepared + section_digest(for_one_student(protocol)) for protocol in bench.protocols]
    keys = {
        student: Scores.key(decides[student.architecture], bench.things[student.thing].digest, student.seed)
        for student in bench.students()
    }
    every = {key: student for student, key in keys.items()}  # sets that are the same to the byte share theirs
    todo = [student for key, student in every.items() if key not in known]
    total, left = (sum(bench.updates(student) for student in some) for some in (every.values(), todo))
    # Updates, not students, so that the bar moves and the time left is known while one trains.
    with (
        progress.stage("evaluate", total, total - left) as bar,
        closing(students.said(bench, todo, config, bar)) as results,
    ):
        for student, result in results:
            known.add(keys[student], result, order=[*every])
            bar.advance(0, **bench.facts([student]), top1=result.predictions.top(1))
    return {student: known[key] for student, key in keys.items()}


def _report(
    bench: Bench, said: dict[Student, students.Said], parents: dict[str, str], source: PreparedSet
) -> ReportDocument:
    """All figures, from what each student said."""
    config, document = bench.inputs.config, source.document
    judged = []
    for architecture, protocol in enumerate(bench.protocols):
        for number, thing in enumerate(bench.things):
            found = [said[Student(architecture, number, seed)] for seed in range(thing.students)]
            seconds = sum(one.seconds for one in found)
            judged.append(Judged(thing, protocol.student.name, [one.predictions for one in found], seconds))
    classes = len(document.classes)
    return ReportDocument(
        parents=parents,
        source=document.source,
        classes=document.classes,
        chance=1 / classes,
        scored_split=config.split,
        scored_videos=len(bench.held.labels_N),
        protocol=config,
        results=tuple(one.result(bench.held.labels_N.cpu(), classes) for one in judged),
        differences=tuple(differences([one for one in judged if one.student == config.student.name])),
        hardware="; ".join(dict.fromkeys(one.hardware for one in said.values())),
        versions=provenance.versions(),
    )


def for_one_student(config: EvaluateConfig) -> EvaluateConfig:
    """What decides the score of a student: not how many others there are, nor on what else they are trained."""
    return config.model_copy(update={"students": 1, "full_students": 0, "across": (), "plain": False, "lossy": False})


def _begun(out: Path, parents: dict[str, str], config: EvaluateConfig) -> ReportDocument | None:
    """The report that a folder holds, if an evaluation like this would hold all that it does but for its sets.

    Raises:
        InputError: it holds something else.
    """
    if not (out / ReportDocument.FILE).is_file():
        if not storage.is_empty(out) and not (out / scores.FILE).is_file():
            raise InputError(f"{out} already holds something else.", "Name an empty or a new folder.")
        return None
    old = documents.read(ReportDocument, out)
    was = old.protocol
    fits = (
        all(old.parents[name] == parents[name] for name in ("prepared", "evaluate"))
        and was.students <= config.students
        and was.full_students <= config.full_students
        and set(was.across) <= set(config.across)
        and was.plain <= config.plain
        and was.lossy <= config.lossy
    )
    if not fits:
        raise _another(out)
    return old


def _another(out: Path) -> InputError:
    return InputError(f"{out} holds another evaluation.", "Name a new folder.")


def _need_each_once(sets: Sequence[str | Path]) -> None:
    """
    Raises:
        InputError: a set is named twice.
    """
    paths = [Path(str(one).partition(":")[2] if other_sets.is_other(str(one)) else one) for one in sets]
    places = [path.resolve() for path in paths]
    for number, path in enumerate(paths):
        if places[number] in places[:number]:
            raise InputError(f"{path} is named twice.", "Name each set once.")


def _need_one_length(sets: Iterable[Distilled]) -> None:
    """
    Raises:
        InputError: sets of as many videos a class have videos of different lengths.
    """
    first: dict[int, Distilled] = {}
    for one in sets:
        other = first.setdefault(one.ipc, one)
        if other.frames != one.frames:
            raise InputError(
                f"{other.path} has {one.ipc} videos a class of {other.frames} frames, and {one.path} as many of "
                f"{one.frames}: no random clips store as much as both.",
                "Evaluate them one by one, into a folder each, and lay the reports side by side: `idtd compare`.",
            )


def _columns(sets: Sequence[Distilled | OtherSet], real: RealClips) -> dict[str, NDArray[np.uint8]]:
    """To look at: a random real clip of each class, and each method's first video of each class."""
    generator = torch.Generator(real.videos_NF3HW.device).manual_seed(0)
    columns = {"real": frames_last(random_clips(real, 1, max(one.frames for one in sets), generator))}
    for one in sets:
        called = summary.TITLES["other" if isinstance(one, OtherSet) else one.document.method]
        if called not in columns:
            columns[called] = frames_last(one.example_CT3HW())
    return columns
