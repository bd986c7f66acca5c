from __future__ import annotations

import random
from collections import Counter, defaultdict
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from idtd_cli.errors import InputError
from idtd_cli.recipe import SplitConfig
from idtd_cli.sources.source import Source, Video
from idtd_cli.sources.splits import assign, take
from idtd_cli.video.medium import File


def source(labels: list[int], splits: list[str | None], groups: list[str | None]) -> Source:
    rows = enumerate(zip(labels, splits, groups, strict=True))
    videos = tuple(Video(f"{i:03d}", File(Path(f"{i:03d}")), *row) for i, row in rows)
    return Source("s", "folder", tuple(f"c{i}" for i in range(max(labels) + 1)), videos)


def counts(done: Source) -> Counter[tuple[int, str | None]]:
    return Counter((video.label, video.split) for video in done.videos)


configs = st.builds(SplitConfig, validation=st.floats(0, 1), test=st.floats(0, 1), seed=st.integers(0, 5))


@st.composite
def sources(draw: st.DrawFn, given_splits: bool = False) -> Source:
    sizes = draw(st.lists(st.integers(2, 12), min_size=2, max_size=4))
    labels = [label for label, size in enumerate(sizes) for _ in range(size)]
    groups = draw(st.lists(st.sampled_from([None, "p", "q", "r", "s"]), min_size=len(labels), max_size=len(labels)))
    splits: list[str | None] = [None] * len(labels)
    if given_splits:  # by group, so that none crosses
        test = draw(st.sets(st.sampled_from(["p", "q", "r", "s"])))
        splits = ["test" if group in test else "train" for group in groups]
    return source(labels, splits, groups)


@given(listed=sources(), config=configs)
def test_a_drawn_split_keeps_its_promises(listed: Source, config: SplitConfig) -> None:
    try:
        done = assign(listed, config)
    except InputError:
        assume(False)
    by_group = defaultdict(set)
    for before, after in zip(listed.videos, done.videos, strict=True):
        assert before.id == after.id
        assert after.split in {"train", "val", "test"}
        if after.group is not None:
            by_group[after.group].add(after.split)
    assert all(len(splits) == 1 for splits in by_group.values())
    for label in range(len(listed.classes)):
        assert counts(done)[label, "train"] >= 1
        assert (counts(done)[label, "test"] >= 1) or config.test == 0


@given(listed=sources(), config=configs, seed=st.integers(0, 99))
def test_the_order_of_files_does_not_matter(listed: Source, config: SplitConfig, seed: int) -> None:
    shuffled = list(listed.videos)
    random.Random(seed).shuffle(shuffled)
    other = Source("s", "folder", listed.classes, tuple(shuffled))
    try:
        one = {video.id: video.split for video in assign(listed, config).videos}
    except InputError:
        with pytest.raises(InputError):
            assign(other, config)
    else:
        assert one == {video.id: video.split for video in assign(other, config).videos}


@given(
    sizes=st.lists(st.integers(2, 30), min_size=2, max_size=3),
    validation=st.floats(0, 0.9),
    test=st.floats(0, 0.9),
    seed=st.integers(0, 9),
)
def test_without_groups_each_class_gets_its_share(sizes: list[int], validation: float, test: float, seed: int) -> None:
    labels = [label for label, size in enumerate(sizes) for _ in range(size)]
    done = assign(
        source(labels, [None] * len(labels), [None] * len(labels)),
        SplitConfig(validation=validation, test=test, seed=seed),
    )
    for label, size in enumerate(sizes):
        tested = min(size - 1, max(1, round(test * size))) if test else 0
        rest = size - tested
        held = min(rest - 1, max(1, round(validation * rest))) if validation and rest > 1 else 0
        assert counts(done)[label, "test"] == tested
        assert counts(done)[label, "val"] == held


@given(listed=sources(given_splits=True), config=configs)
def test_given_splits_only_lose_validation_videos(listed: Source, config: SplitConfig) -> None:
    done = assign(listed, config)
    by_group = defaultdict(set)
    for before, after in zip(listed.videos, done.videos, strict=True):
        assert (before.split, after.split) in {("train", "train"), ("train", "val"), ("test", "test")}
        if after.group is not None:
            by_group[after.group].add(after.split)
    assert all(len(splits) == 1 for splits in by_group.values())
    for label in range(len(listed.classes)):
        assert bool(counts(done)[label, "train"]) == bool(counts(listed)[label, "train"])


def test_a_given_validation_split_is_left_alone() -> None:
    listed = source([0, 0, 0, 1, 1, 1], ["train", "val", "test"] * 2, [None] * 6)
    assert assign(listed, SplitConfig(validation=0.9)) == listed


def test_the_seed_decides() -> None:
    listed = source([0] * 40 + [1] * 40, [None] * 80, [None] * 80)
    drawn = {tuple(v.split for v in assign(listed, SplitConfig(seed=seed)).videos) for seed in (0, 0, 1, 2)}
    assert len(drawn) == 3


def test_a_video_more_draws_no_other_anew_between_test_and_val() -> None:
    """Few videos move when one is added: those at the edge of a share."""
    one = assign(source([0] * 40 + [1] * 40, [None] * 80, [None] * 80), SplitConfig())
    two = assign(source([0] * 40 + [1] * 41, [None] * 81, [None] * 81), SplitConfig())
    moved = [a.id for a, b in zip(one.videos, two.videos, strict=False) if a.split != b.split]
    assert len(moved) <= 4


@pytest.mark.parametrize(
    ("labels", "groups", "message"),
    [
        ([0, 0, 1], [None] * 3, "c1 has too few videos for both train and test: 1, in 1 group. Add videos"),
        ([0, 0, 1, 1], ["p", "p", None, None], "c0 has too few videos for both train and test: 2, in 1 group"),
    ],
)
def test_too_few_to_split(labels: list[int], groups: list[str | None], message: str) -> None:
    with pytest.raises(InputError, match=message):
        assign(source(labels, [None] * len(labels), groups), SplitConfig())


@given(st.integers(1, 6), st.integers(0, 3))
def test_a_trial_takes_some_of_each_class_and_split(limit: int, seed: int) -> None:
    listed = assign(source([0] * 20 + [1] * 9, [None] * 29, [None] * 29), SplitConfig(seed=seed))
    trial = take(listed, limit, seed)
    all_of, taken = counts(listed), counts(trial)
    for label in (0, 1):
        for split in ("train", "val", "test"):
            assert taken[label, split] == min(limit, all_of[label, split])
    assert [v for v in listed.videos if v in trial.videos] == list(trial.videos)
    assert set(take(listed, limit, seed).videos) <= set(take(listed, limit + 1, seed).videos)  # a larger trial adds
    assert take(listed, 0, seed) == listed
