"""The split rule: what a source leaves open is drawn by seed, class by class, and groups stay together."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from idtd_cli.errors import InputError
from idtd_cli.sources.source import Source, Video

if TYPE_CHECKING:
    from idtd_cli.recipe import SplitConfig


def assign(source: Source, config: SplitConfig) -> Source:
    """Give every video a split.

    Where the source gives none, a share `test` of each class goes to test. Where it gives no val, a share `validation`
    of each class's training videos is held out. A share above zero takes at least one video of a class, and never the
    last training video. The draw depends on the seed and on ids and groups alone: not on the order of files, and a
    video more or less does not draw the others anew.

    Raises:
        InputError: a class is too small, or its groups too few, to be in both train and test.
    """
    split_of = {video.id: video.split or "train" for video in source.videos}
    if all(video.split is None for video in source.videos):
        _hold_out(source.videos, split_of, "test", config.test, config.seed)
        if config.test > 0:
            _need_test(source, split_of)
    if all(video.split != "val" for video in source.videos):
        _hold_out(source.videos, split_of, "val", config.validation, config.seed)
    return replace(source, videos=tuple(replace(video, split=split_of[video.id]) for video in source.videos))


def take(source: Source, limit: int, seed: int) -> Source:
    """At most `limit` videos of each class and split, drawn by seed; 0 takes all."""
    if not limit:
        return source
    taken: Counter[tuple[int, str | None]] = Counter()
    kept = []
    for video in sorted(source.videos, key=lambda video: _draw(seed, video.id)):
        taken[video.label, video.split] += 1
        if taken[video.label, video.split] <= limit:
            kept.append(video)
    return replace(source, videos=tuple(sorted(kept, key=lambda video: video.id)))


def _draw(seed: int, name: str) -> bytes:
    """Sorting by this shuffles names, each by itself alone."""
    return hashlib.sha256(f"{seed} {name}".encode()).digest()


def _hold_out(videos: Iterable[Video], split_of: dict[str, str], split: str, share: float, seed: int) -> None:
    """Move whole groups from train to `split` until each class has its share there."""
    units: dict[str, list[Video]] = defaultdict(list)
    for video in videos:
        if split_of[video.id] == "train":
            # A video without a group is its own; the prefix keeps the two kinds of names apart.
            units[f"video:{video.id}" if video.group is None else f"group:{video.group}"].append(video)
    drawn = sorted(units, key=lambda name: _draw(seed, name))
    counts = {name: Counter(video.label for video in unit) for name, unit in units.items()}
    left = sum(counts.values(), Counter())
    wanted = {label: max(1, round(share * n)) if share > 0 and n > 1 else 0 for label, n in left.items()}
    taken: Counter[int] = Counter()

    def take(name: str) -> bool:
        if any(left[label] <= n for label, n in counts[name].items()):
            return False  # it would be the last training videos of a class
        left.subtract(counts[name])
        taken.update(counts[name])
        for video in units[name]:
            split_of[video.id] = split
        return True

    units_of: dict[int, list[str]] = defaultdict(list)
    for name in drawn:
        for label in counts[name]:
            units_of[label].append(name)
    for label in sorted(wanted):
        of_class = units_of[label]
        free = [name for name in of_class if split_of[units[name][0].id] == "train"]
        for name in free:
            # Nearest to the share: a large group is left out if leaving it out is closer.
            if taken[label] + counts[name][label] / 2 <= wanted[label]:
                take(name)
        if wanted[label] and not taken[label]:
            any(take(name) for name in sorted(free, key=lambda name: counts[name][label]))


def _need_test(source: Source, split_of: dict[str, str]) -> None:
    tested = {video.label for video in source.videos if split_of[video.id] == "test"}
    for label, name in enumerate(source.classes):
        if label not in tested:
            videos = [video for video in source.videos if video.label == label]
            groups = len({video.group or video.id for video in videos})
            raise InputError(
                f"The class {name} has too few videos for both train and test: {len(videos)}, in {groups} "
                f"group{'s' if groups > 1 else ''}.",
                "Add videos, or say in train.txt and test.txt which is which.",
            )
