from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from idtd_cli.errors import InputError
from idtd_cli.sources.registry import find
from tests.sources.making import listing, touch, write
from tests.video.making import shared_data

VIDEOS = "20bn-something-something-v2"
LABELS = {"Putting something on a surface": "1", "Closing something": "0"}


def entry(number: str, template: str) -> dict[str, Any]:
    return {"id": number, "label": "closing a box", "template": template, "placeholders": ["a box"]}


CLOSING, PUTTING = "Closing [something]", "Putting [something] on a surface"
LISTS: dict[str, Any] = {
    "labels": LABELS,
    "train": [entry("78687", PUTTING), entry("2", CLOSING)],
    "validation": [entry("3", CLOSING), entry("4", PUTTING)],
}
NAMES = [f"{VIDEOS}/{number}.webm" for number in ("78687", "2", "3", "4")]


def lists(folder: Path, prefix: str = "", **changes: Any) -> Path:
    return write(folder, {f"{prefix}{name}.json": json.dumps(content) for name, content in (LISTS | changes).items()})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return touch(lists(tmp_path / "ssv2"), *NAMES)


def test_the_validation_list_is_test(root: Path) -> None:
    source = find(root)
    assert (source.name, source.kind) == ("ssv2", "ssv2")
    assert source.classes == ("Closing something", "Putting something on a surface")
    assert listing(source) == [
        (f"{VIDEOS}/2.webm", "Closing something", "train"),
        (f"{VIDEOS}/3.webm", "Closing something", "test"),
        (f"{VIDEOS}/4.webm", "Putting something on a surface", "test"),
        (f"{VIDEOS}/78687.webm", "Putting something on a surface", "train"),
    ]


@pytest.mark.parametrize("place", ["", "labels"])
@pytest.mark.parametrize("prefix", ["", "something-something-v2-"])
def test_where_the_lists_lie_and_what_they_are_called(root: Path, tmp_path: Path, place: str, prefix: str) -> None:
    other = touch(tmp_path / "other", *NAMES)
    lists(other / place, prefix)
    assert listing(find(other)) == listing(find(root))


def test_missing_videos_are_counted_and_the_rest_goes_on(root: Path) -> None:
    lists(root, train=[*LISTS["train"], entry("5", CLOSING), entry("10", CLOSING)])
    source = find(root)
    assert len(source.videos) == 4
    assert source.missing == (f"{VIDEOS}/10.webm", f"{VIDEOS}/5.webm")


def test_no_video_at_all(root: Path) -> None:
    for name in NAMES:
        (root / name).unlink()
    with pytest.raises(InputError, match=rf"{VIDEOS} has none of the 4 videos that the lists of .* name"):
        find(root)
    (root / VIDEOS).rmdir()
    with pytest.raises(InputError, match=rf"{VIDEOS} cannot be read"):
        find(f"ssv2:{root}")


def test_a_missing_list_is_named(root: Path) -> None:
    (root / "validation.json").unlink()
    with pytest.raises(
        InputError, match=r"ssv2 has no validation.json, nor has .*labels. The owner's archive of the lab"
    ):
        find(root)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("labels", [], r"labels.json is not an object of label and index"),
        ("labels", {}, "is not an object"),
        (
            "labels",
            {"Closing something": "0", "Putting something on a surface": "0"},
            "does not number its 2 labels from 0",
        ),
        ("labels", {"Closing something": "1", "Putting something on a surface": "2"}, "does not number its 2 labels"),
        ("labels", {"Closing something": None, "Putting something on a surface": "0"}, "does not number its 2 labels"),
        ("labels", LABELS | {"Half a letter \ud800": "2"}, "has a label that is not valid Unicode"),
        ("labels", LABELS | {"Folding something": "2"}, "has no video of the class Folding something"),
        ("train", {}, r"train.json is not a list of videos"),
        ("train", ["2"], r"train.json entry 1 has no id of digits or no template"),
        ("train", [entry("2", CLOSING), {"id": "78687"}], r"train.json entry 2 has no id of digits or no template"),
        ("train", [entry("../../secret", CLOSING)], "entry 1 has no id of digits"),
        ("train", [entry("٢", CLOSING)], "entry 1 has no id of digits"),
        (
            "train",
            [entry("2", "Folding [something]")],
            r"entry 1 is of the class 'Folding something', which is not in lab",
        ),
        ("train", [entry("2", CLOSING), entry("2", CLOSING)], rf"lists {VIDEOS}/2.webm twice"),
        ("train", [entry("2", CLOSING), entry("4", CLOSING)], rf"has {VIDEOS}/4.webm in both"),
        ("train", [entry("2", CLOSING)], "lists no train video of the class Putting something on a surface"),
    ],
)
def test_lists_that_do_not_hold_together(root: Path, name: str, content: Any, message: str) -> None:
    lists(root, **{name: content})
    with pytest.raises(InputError, match=message) as raised:
        find(root)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"[", b"[" * 100_000])
def test_a_list_that_is_no_json(root: Path, content: bytes) -> None:
    (root / "train.json").write_bytes(content)
    with pytest.raises(InputError, match=r"train.json is not readable as JSON in UTF-8"):
        find(root)


def test_the_owners_labels(root: Path) -> None:
    names = json.loads((shared_data("splits") / "ssv2_class_list.json").read_text(encoding="utf-8"))
    pairs = [(number, split) for number in range(len(names)) for split in ("train", "validation")]
    ids = {pair: str(place) for place, pair in enumerate(pairs)}
    both = {
        split: [entry(ids[n, split], name.replace("something", "[something]")) for n, name in enumerate(names)]
        for split in ("train", "validation")
    }
    lists(root, labels={name: str(number) for number, name in enumerate(names)}, **both)
    touch(root, *(f"{VIDEOS}/{number}.webm" for number in ids.values()))
    source = find(root)
    assert source.classes == tuple(names)
    assert len(source.videos) == 2 * 174
