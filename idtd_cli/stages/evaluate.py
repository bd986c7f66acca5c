"""`idtd evaluate`: distilled sets + prepared set → report, with random real clips and the full data beside them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from idtd_cli import documents, provenance, storage
from idtd_cli.baselines.random_clips import random_clips
from idtd_cli.distilled import DistilledSet, SetDocument, digest
from idtd_cli.errors import InputError
from idtd_cli.method.normalisation import Normalisation
from idtd_cli.method.real_clips import RealClips
from idtd_cli.method.soft_labels import SoftLabels
from idtd_cli.prepared import PreparedSet
from idtd_cli.recipe import EvaluateConfig, Recipe, section_digest
from idtd_cli.report import html, statistics, summary
from idtd_cli.report.contact_sheet import contact_sheet
from idtd_cli.report.document import Difference, ReportDocument, Result, Spread
from idtd_cli.runlog import Progress, read_lines
from idtd_cli.stages import clips
from idtd_cli.students import registry, scoring
from idtd_cli.students.predictions import Predictions
from idtd_cli.students.training import LabelledVideos

#: Scores of students already trained, one line each: an evaluation that was stopped goes on from here.
SCORES = "scores.jsonl"
PAGE = "report.html"
SHEET = "clips.png"
#: Sets of a size that are compared with each other, and not with random clips alone: more pairs nobody reads.
_COMPARED = 8


@dataclass(frozen=True)
class _Entry:
    """One thing to train students on. `digest` names it in scores.jsonl; `videos(s)` is what student s trains on."""

    method: str
    digest: str
    students: int
    ipc: int | None
    frames: int
    stored_frames: int
    stored_bytes: int
    videos: Callable[[int], LabelledVideos]
    segments: int = 1
    soft_labels: bool = False
    lossy: bool = False
    stored_parameters: int = 0
    set: str | None = None
    seed: int | None = None


def run(
    sets: Sequence[Path], prepared: Path, out: Path, recipe: Recipe, device: str, progress: Progress
) -> ReportDocument:
    """Train students on each set, on random real clips of the same count and on the full data; score them once.

    Args:
        sets: exported sets; what is evaluated are their files.
        prepared: the prepared set with the real clips.
        out: the report folder, new, or that of this same evaluation; one of fewer sets grows, and no student that was
            scored for it is trained again.
        recipe: its `evaluate` section is the protocol.
        device: "cpu" or "cuda".
        progress: where to report to.

    Raises:
        InputError: a set does not fit the prepared set, or `out` holds something else.
    """
    config = recipe.evaluate
    source = PreparedSet.open(prepared)
    opened = [(path, _fitting(path, source, config)) for path in sets]
    parents = {"prepared": source.document.digest(), "evaluate": section_digest(config)}
    parents |= {f"set {number}": digest(path) for number, path in enumerate(sets, start=1)}
    if (out / ReportDocument.FILE).is_file():
        report = documents.read(ReportDocument, out)
        if not _is_part(report.parents, parents):
            raise InputError(f"{out} holds another evaluation.", "Name a new folder.")
        if report.parents == parents:
            progress.note(f"{out} already holds this evaluation: nothing to do.")
            return report
    elif not storage.is_empty(out) and not (out / SCORES).is_file():
        raise InputError(f"{out} already holds something else.", "Name an empty or a new folder.")

    clip, classes = source.document.clip, len(source.document.classes)
    normalisation = Normalisation(source.document.mean, source.document.std, device)
    task = registry.Task(classes, clip.frames, clip.height, clip.width)
    registry.build(config.student, task, 0, "cpu")  # a student that cannot take these clips stops here
    real = RealClips(*clips.load(source, "train", device, progress), classes)
    entries = _entries(opened, real, source, config, device)

    scored_split = "val" if config.split == "validation" else "test"
    held = LabelledVideos(*clips.load(source, scored_split, device, progress))
    if not len(held.labels_N):
        raise InputError(
            f"{prepared} has no {config.split} clips.", "Prepare it with prepare.split.validation above 0."
        )

    def predict(entry: _Entry, number: int) -> Predictions:
        return scoring.score(config, number, task, normalisation, entry.videos(number), entry.segments, held)

    storage.make_folder(out)  # everything that can be wrong with the input was looked at
    scores = _Scores(out / SCORES, parents["prepared"] + parents["evaluate"])
    judged = []
    with progress.stage("evaluate", sum(entry.students for entry in entries)) as bar:
        for entry in entries:
            students, seconds = [], 0.0
            for number in range(entry.students):
                found, took = scores.get_or_compute(entry.digest, number, lambda e=entry, n=number: predict(e, n))  # type: ignore[misc]
                students.append(found)
                seconds += took
                bar.advance(trained_on=entry.method, top1=found.top(1))
            judged.append(_Judged(entry, students, seconds))

    report = ReportDocument(
        parents=parents,
        source=source.document.source,
        classes=source.document.classes,
        chance=1 / classes,
        scored_split=config.split,
        scored_videos=len(held.labels_N),
        protocol=config,
        results=tuple(one.result(config, held.labels_N.cpu(), classes) for one in judged),
        differences=tuple(_differences(judged)),
        hardware=provenance.hardware(device),
        versions=provenance.versions(),
    )
    sheet = contact_sheet(source.document.classes, _sheet_columns(opened, real, clip.frames))
    sheet.save(out / SHEET)
    storage.write_text(out / PAGE, html.render(report, sheet))
    report.write(out)  # last: it marks the folder as complete
    return report


def _is_part(old: dict[str, str], new: dict[str, str]) -> bool:
    """True if an evaluation has the protocol and the data of another, and no set that the other lacks."""
    return all(old[name] == new[name] for name in ("prepared", "evaluate")) and {*old.values()} <= {*new.values()}


def _fitting(path: Path, source: PreparedSet, config: EvaluateConfig) -> SetDocument:
    """What a set is, once it is known to be whole and to fit. Its videos are let go of: a table has many sets."""
    ours, theirs = documents.read(SetDocument, path), source.document
    if ours.method not in summary.TITLES:
        raise InputError(f"{path} was made by the method {ours.method}, which this idtd does not know.")
    if ours.classes != theirs.classes:
        raise InputError(f"{path} has other classes than {source.folder}.", "Evaluate on the set's own data.")
    if ours.clip != theirs.clip:
        raise InputError(
            f"{path} has other clips than {source.folder} (frames, size or sampling).",
            "Prepare the data with the set's recipe.",
        )
    whole = DistilledSet.open(path)
    if config.lossy:
        whole.lossy_videos()
    return ours


def _entries(
    sets: Sequence[tuple[Path, SetDocument]], real: RealClips, source: PreparedSet, config: EvaluateConfig, device: str
) -> list[_Entry]:
    """What is compared, each with what it stores."""
    clip, classes = source.document.clip, real.classes
    frame_bytes = 3 * clip.height * clip.width

    def random_set(ipc: int) -> _Entry:
        def videos(number: int) -> LabelledVideos:
            generator = torch.Generator(device).manual_seed(number)  # every student gets clips of its own
            labels_N = torch.arange(classes, device=device).repeat_interleave(ipc)
            return LabelledVideos(random_clips(real, ipc, clip.frames, generator), labels_N)

        frames = classes * ipc * clip.frames
        return _Entry(
            "random", f"random {ipc}", config.students, ipc, clip.frames, frames, frames * frame_bytes, videos
        )

    def exported(path: Path, document: SetDocument, lossy: bool = False) -> _Entry:
        def videos(_: int) -> LabelledVideos:  # in memory while a student trains on them
            distilled = DistilledSet.open(path)
            videos, soft = distilled.lossy_videos() if lossy else distilled.videos_NT3HW, None
            if distilled.logits_NKC is not None and document.temperature and config.soft_labels:
                soft = SoftLabels(distilled.logits_NKC.to(device), document.temperature)
            return LabelledVideos(videos.to(device), distilled.labels_N.to(device), soft)

        return _Entry(
            document.method,
            digest(path) + " lossy" * lossy,
            config.students,
            document.ipc,
            clip.frames,
            document.stored_frames,
            document.stored_bytes,
            videos,
            document.segments,
            document.temperature is not None and config.soft_labels,
            lossy,
            document.stored_parameters,
            path.name + "/videos" * lossy,
            document.seed,
        )

    entries = [
        exported(path, document, lossy) for lossy in (False, True)[: 1 + config.lossy] for path, document in sets
    ]
    entries += [random_set(ipc) for ipc in sorted({document.ipc for _, document in sets})]
    if config.full_students:
        frames = len(real.labels_N) * clip.stored_frames
        videos = LabelledVideos(real.videos_NF3HW, real.labels_N)
        entries.append(
            _Entry(
                "full", "full", config.full_students, None, clip.frames, frames, frames * frame_bytes, lambda _: videos
            )
        )
    return entries


@dataclass(frozen=True)
class _Judged:
    """What the students of an entry said of the held-out videos."""

    entry: _Entry
    students: list[Predictions]
    seconds: float

    @property
    def right_SN(self) -> NDArray[np.bool_]:
        return torch.stack([student.place_N == 0 for student in self.students]).numpy()

    def result(self, config: EvaluateConfig, labels_N: torch.Tensor, classes: int) -> Result:
        entry = self.entry
        confusion_CC = torch.zeros(classes, classes, dtype=torch.long)
        for student in self.students:
            confusion_CC.index_put_((labels_N, student.found_N), torch.ones_like(labels_N), accumulate=True)
        return Result(
            method=entry.method,
            set=entry.set,
            seed=entry.seed,
            student=config.student.name,
            ipc=entry.ipc,
            frames=entry.frames,
            segments=entry.segments,
            soft_labels=entry.soft_labels,
            lossy=entry.lossy,
            top1=Spread.of([student.top(1) for student in self.students]),
            interval=statistics.interval(self.right_SN),
            top5=Spread.of([student.top(5) for student in self.students]) if classes > 5 else None,
            confusion=tuple(map(tuple, confusion_CC.tolist())),
            stored_bytes=entry.stored_bytes,
            stored_frames=entry.stored_frames,
            stored_parameters=entry.stored_parameters,
            seconds=round(self.seconds, 2),
        )


def _differences(judged: Sequence[_Judged]) -> Iterator[Difference]:
    """Of each set from random clips, and from the other sets of its size where no more than these can be read.

    What is lossy is compared with its own set alone.
    """
    for ipc in dict.fromkeys(one.entry.ipc for one in judged if one.entry.set):
        sets = [one for one in judged if one.entry.ipc == ipc and one.entry.set and not one.entry.lossy]
        lossy = [one for one in judged if one.entry.ipc == ipc and one.entry.lossy]
        random = next(one for one in judged if one.entry.ipc == ipc and not one.entry.set)
        pairs = [(one, random) for one in sets]
        if len(sets) <= _COMPARED:
            pairs += combinations(sets, 2)
        pairs += zip(lossy, sets, strict=False)  # in one order; none, if they were not asked for
        for one, other in pairs:
            apart, low, high = statistics.difference(one.right_SN, other.right_SN)
            yield Difference(
                one=str(one.entry.set),
                other=other.entry.set or other.entry.method,
                ipc=int(ipc or 0),
                students=min(len(one.students), len(other.students)),
                top1=apart,
                interval=(low, high),
            )


def _sheet_columns(
    sets: Sequence[tuple[Path, SetDocument]], real: RealClips, frames: int
) -> dict[str, NDArray[np.uint8]]:
    """For the contact sheet: a random real clip of each class, and each method's first video of each class."""
    generator = torch.Generator(real.videos_NF3HW.device).manual_seed(0)
    columns = {"real": _to_numpy(random_clips(real, 1, frames, generator))}
    for path, document in sets:
        if (title := summary.TITLES[document.method]) not in columns:
            columns[title] = _to_numpy(DistilledSet.open(path).videos_NT3HW[:: document.videos_a_class])
    return columns


def _to_numpy(videos_CT3HW: torch.Tensor) -> NDArray[np.uint8]:
    return videos_CT3HW.permute(0, 1, 3, 4, 2).cpu().numpy()


class _Scores:
    """scores.jsonl. Lines of another protocol or prepared set have another key and are passed over."""

    def __init__(self, path: Path, protocol: str) -> None:
        self._path = path
        self._protocol = protocol
        self._lines = list(read_lines(path))
        self._known = {line["key"]: line for line in self._lines if "place" in line}

    def get_or_compute(self, entry: str, number: int, compute: Callable[[], Predictions]) -> tuple[Predictions, float]:
        """What a student says, and its seconds, computed and written down unless they are known."""
        key = storage.sha256_bytes(f"{self._protocol} {entry} {number}".encode())
        if key not in self._known:
            began = time.perf_counter()
            said = compute()
            line = {"key": key, "top1": said.top(1), "seconds": time.perf_counter() - began}
            self._known[key] = line | {"found": said.found_N.tolist(), "place": said.place_N.tolist()}
            self._lines.append(self._known[key])
            # All lines anew: they are few, and none is ever cut off.
            storage.write_text(self._path, "".join(json.dumps(line) + "\n" for line in self._lines))
        known = self._known[key]
        return Predictions(torch.tensor(known["found"]), torch.tensor(known["place"])), known["seconds"]
