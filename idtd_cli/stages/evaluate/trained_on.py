"""What students are trained on: distilled sets, sets of other tools, random real clips, all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch

from idtd_cli import documents
from idtd_cli.baselines.random_clips import random_clips
from idtd_cli.distilled import DistilledSet, SetDocument, digest
from idtd_cli.errors import InputError
from idtd_cli.method.real_clips import RealClips
from idtd_cli.method.soft_labels import SoftLabels
from idtd_cli.prepared import PreparedSet
from idtd_cli.recipe import EvaluateConfig
from idtd_cli.report import summary
from idtd_cli.report.document import Form
from idtd_cli.stages import clips
from idtd_cli.stages.evaluate.other_sets import OtherSet
from idtd_cli.students.training import LabelledVideos


@dataclass(frozen=True)
class TrainedOn:
    """One thing to train students on. `digest` names it in scores.jsonl; `videos(s)` is what student s trains on, which
    is the same for all unless each has `own_videos`.

    `pieces` are what a pass over it shows: the segments of its videos, where students see them one by one.
    """

    method: str
    digest: str
    students: int
    ipc: int | None
    frames: int
    stored_frames: int
    stored_bytes: int
    videos: Callable[[int], LabelledVideos]
    pieces: int
    segments: int = 1
    form: Form = "own"
    soft_labels: bool = False
    stored_parameters: int = 0
    set: str | None = None
    seed: int | None = None
    selection: str | None = None
    own_videos: bool = False

    def videos_of(self, students: Sequence[int]) -> list[LabelledVideos]:
        """What each of some students trains on: the same object, if they share it."""
        if self.own_videos:
            return [self.videos(student) for student in students]
        return [self.videos(students[0])] * len(students)


class Shelf:
    """The distilled set in use: decoded once for all that is done with it in a row, and let go of before another is.

    A table has many sets, and each may be large.
    """

    def __init__(self) -> None:
        self._set: DistilledSet | None = None
        self._lossy_NT3HW: torch.Tensor | None = None

    def __reduce__(self) -> tuple[type[Shelf], tuple[()]]:
        """For another process: an empty one."""
        return Shelf, ()

    def take(self, path: Path) -> DistilledSet:
        """The set of a folder.

        Raises:
            InputError: as `DistilledSet.open` does.
        """
        if self._set is None or self._set.path != path:
            self._set = self._lossy_NT3HW = None
            self._set = DistilledSet.open(path)
        return self._set

    def take_lossy(self, path: Path) -> torch.Tensor:
        """Its videos as its MP4s for people have them.

        Raises:
            IdtdError: as `DistilledSet.lossy_videos` does.
        """
        opened = self.take(path)
        if self._lossy_NT3HW is None:
            self._lossy_NT3HW = opened.lossy_videos()
        return self._lossy_NT3HW


@dataclass(frozen=True)
class Distilled:
    """A distilled set that fits the prepared one, by its document. Its videos are on the shelf while it is in use."""

    path: Path
    document: SetDocument
    shelf: Shelf

    @classmethod
    def fitting(cls, path: Path, source: PreparedSet, shelf: Shelf) -> Distilled:
        """A set whose document says that it fits; nothing else of it is read.

        Raises:
            InputError: no set, or one of other classes or clips, or one that memory does not hold.
        """
        ours, theirs = documents.read(SetDocument, path), source.document
        if ours.method not in summary.TITLES:
            raise InputError(
                f"{path} was made by the method {ours.method}, which this idtd does not know.",
                "Install the version of idtd that made it, or a later one.",
            )
        if ours.classes != theirs.classes:
            raise InputError(f"{path} has other classes than {source.folder}.", "Evaluate on the set's own data.")
        if ours.clip != theirs.clip:
            raise InputError(
                f"{path} has other clips than {source.folder} (frames, size or sampling).",
                "Prepare the data with the set's recipe.",
            )
        needed = ours.count * ours.frames * 3 * ours.clip.height * ours.clip.width
        if needed > (free := clips.free_bytes("cpu")):
            raise InputError(
                f"{path} has {ours.count} videos, which need {summary.size(needed)} of memory; "
                f"{summary.size(free)} are free.",
                "Free some, or take a machine with more.",
            )
        return cls(path, ours, shelf)

    def read(self, lossy: bool) -> None:
        """Read it, and its MP4s for people if these are needed, to see that it is whole.

        Raises:
            InputError: it is damaged.
        """
        self.shelf.take(self.path)
        if lossy:
            self.shelf.take_lossy(self.path)

    @property
    def digest(self) -> str:
        return digest(self.path)

    @property
    def ipc(self) -> int:
        return self.document.ipc

    @property
    def frames(self) -> int:
        """T: of a video."""
        return self.document.frames

    @property
    def clips_a_video(self) -> int:
        """P: clips, as students see them, that take as many frames."""
        return max(1, self.frames // self.document.clip.frames)

    def example_CT3HW(self) -> torch.Tensor:
        """The first video of each class."""
        return self.shelf.take(self.path).videos_NT3HW[:: self.document.videos_a_class]


def names(paths: Sequence[Path]) -> list[str]:
    """What sets are called in a report: the last part of the path, and as many more as tell them apart.

    The words for what is no set are kept free.
    """
    parts = [path.absolute().parts for path in paths]
    called = [path.name for path in paths]
    for more in range(2, max(map(len, parts), default=0) + 1):
        taken = [name + ending for name in called for ending in summary.ENDINGS.values() if ending]
        twice = Counter([*called, *taken, "random", "full"])
        called = ["/".join(own[-more:]) if twice[name] > 1 else name for name, own in zip(called, parts, strict=True)]
    return called


def every(
    sets: Sequence[Distilled | OtherSet], real: RealClips, source: PreparedSet, config: EvaluateConfig, device: str
) -> list[TrainedOn]:
    """What is compared, each with what it stores: the sets, random clips at each of their sizes, the full data."""
    things: list[TrainedOn] = []
    for one, name in zip(sets, names([one.path for one in sets]), strict=True):
        things += _set(one, name, config, device)
    clips_a_video = {one.ipc: 1 for one in sets}
    clips_a_video |= {one.ipc: one.clips_a_video for one in sets if isinstance(one, Distilled)}
    things += [_random(ipc, count, real, source, config, device) for ipc, count in sorted(clips_a_video.items())]
    if config.full_students:
        things.append(_full(real, source, config))
    return things


def _set(one: Distilled | OtherSet, name: str, config: EvaluateConfig, device: str) -> Iterator[TrainedOn]:
    """A set as it wants to be seen, and as somebody would see it who ignores what it says of itself."""
    if isinstance(one, OtherSet):
        yield TrainedOn(
            "other",
            one.digest,
            config.students,
            one.ipc,
            one.frames,
            one.stored_frames,
            one.stored_bytes,
            lambda _: LabelledVideos(one.videos_NF3HW, one.labels_N),
            len(one.labels_N),
            set=name,
        )
        return

    document = one.document
    count = len(document.classes) * document.videos_a_class
    soft_labels = document.temperature is not None and config.soft_labels

    def videos(form: Form, _: int) -> LabelledVideos:
        distilled, soft = one.shelf.take(one.path), None
        videos = one.shelf.take_lossy(one.path) if form == "lossy" else distilled.videos_NT3HW
        if distilled.logits_NKC is not None and document.temperature and soft_labels and form != "plain":
            soft = SoftLabels(distilled.logits_NKC.to(device), document.temperature)
        return LabelledVideos(videos.to(device), distilled.labels_N.to(device), soft)

    own = TrainedOn(
        document.method,
        one.digest,
        config.students,
        document.ipc,
        document.clip.frames,
        document.stored_frames,
        document.stored_bytes,
        partial(videos, "own"),
        count * (document.segments if config.augmentation.views == "segments" else 1),
        document.segments,
        soft_labels=soft_labels,
        stored_parameters=document.stored_parameters,
        set=name,
        seed=document.seed,
        selection=document.selection,
    )
    yield own
    if config.plain and (own.soft_labels or (own.segments > 1 and config.augmentation.views == "segments")):
        yield replace(_form(own, "plain", partial(videos, "plain")), pieces=count, segments=1, soft_labels=False)
    if config.lossy:
        yield _form(own, "lossy", partial(videos, "lossy"))


def _form(own: TrainedOn, form: Form, videos: Callable[[int], LabelledVideos]) -> TrainedOn:
    """A set in another form."""
    called = summary.form_of(str(own.set), form)
    return replace(own, digest=f"{form} {own.digest}", form=form, set=called, videos=videos)


def _random(
    ipc: int, clips_a_video: int, real: RealClips, source: PreparedSet, config: EvaluateConfig, device: str
) -> TrainedOn:
    """Real clips that store as much as `ipc` videos a class, of `clips_a_video` clips each."""
    clip, each = source.document.clip, ipc * clips_a_video
    called = f"random {ipc}" + (f" x {clips_a_video}" if clips_a_video > 1 else "")

    def videos(number: int) -> LabelledVideos:
        generator = torch.Generator(device).manual_seed(number)  # every student gets clips of its own
        labels_N = torch.arange(real.classes, device=device).repeat_interleave(each)
        return LabelledVideos(random_clips(real, each, clip.frames, generator), labels_N)

    pieces = real.classes * each
    frames = pieces * clip.frames
    stored_bytes = frames * _frame_bytes(source)
    return TrainedOn(
        "random",
        called,
        config.students,
        ipc,
        clip.frames,
        frames,
        stored_bytes,
        videos,
        pieces,
        own_videos=True,
    )


def _full(real: RealClips, source: PreparedSet, config: EvaluateConfig) -> TrainedOn:
    clip = source.document.clip
    pieces = len(real.labels_N)
    frames = pieces * clip.drawn_frames
    stored_bytes = frames * _frame_bytes(source)
    videos = LabelledVideos(real.videos_NF3HW, real.labels_N)
    students = config.full_students
    return TrainedOn("full", "full", students, None, clip.frames, frames, stored_bytes, lambda _: videos, pieces)


def _frame_bytes(source: PreparedSet) -> int:
    return 3 * source.document.clip.height * source.document.clip.width
