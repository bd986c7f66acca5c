"""Lists of videos and of classes in any encoding, with any lines: whatever names a file, nothing outside is opened."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from idtd_cli.sources import registry
from idtd_cli.video.medium import File
from tests.fuzz.mutation import VALUES, Mutator
from tests.fuzz.test_documents import check
from tests.fuzz.watching import Slot, attempt, cases
from tests.sources.making import touch

_CLASSES = ("run", "jump", "wave hand")


def folder(root: Path) -> dict[str, bytes]:
    touch(root, *(f"{name}/{number}.mp4" for name in _CLASSES for number in range(2)), "b.mp4")
    return {
        f"{split}.txt": "".join(f"{name}/{number}.mp4 {label}\n" for label, name in enumerate(_CLASSES)).encode()
        for number, split in enumerate(("train", "test"))
    } | {"classes.txt": "".join(f"{label} {name}\n" for label, name in enumerate(_CLASSES)).encode()}


def csv(root: Path) -> dict[str, bytes]:
    touch(root, "a.mp4", "b/c.mp4", "d e.mp4", "f.mp4")
    rows = ("a.mp4,run,train,g1,0,1.5", "b/c.mp4,run,test,,,", '"d e.mp4",jump,train,g2,1,', "f.mp4,jump,test,g3,,2")
    return {"list.csv": "\n".join(("path,label,split,group,start,end", *rows)).encode()}


def ucf101(root: Path) -> dict[str, bytes]:
    names = [f"{label}/v_{label}_g{group:02d}_c01.avi" for label in ("Run", "Jump") for group in (1, 2)]
    touch(root, *names)
    return {
        "classInd.txt": b"1 Run\n2 Jump\n",
        "trainlist01.txt": f"{names[0]} 1\n{names[2]} 2\n".encode(),
        "testlist01.txt": f"{names[1]}\n{names[3]}\n".encode(),
    }


def hmdb51(root: Path) -> dict[str, bytes]:
    touch(root, *(f"{label}/film{n}_{label}_u_{n}.avi" for label in ("run", "wave_hand") for n in (1, 2)))
    return {
        f"{label}_test_split1.txt": f"film1_{label}_u_1.avi 1 \nfilm2_{label}_u_2.avi 2\n".encode()
        for label in ("run", "wave_hand")
    }


def kinetics(root: Path) -> dict[str, bytes]:
    touch(root, "train/abc_000001_000011.mp4", "val/run/def.mp4", "train/ghi.mp4", "val/jkl.mp4")
    head = "label,youtube_id,time_start,time_end,split\n"
    return {
        "train.csv": f"{head}run,abc,1,11,train\njump,ghi,0,10,train\nrun,gone,2,12,train\n".encode(),
        "val.csv": f"{head}run,def,5,15,val\njump,jkl,0,10,val\n".encode(),
    }


def ssv2(root: Path) -> dict[str, bytes]:
    touch(root, *(f"20bn-something-something-v2/{n}.webm" for n in range(1, 5)))

    def entries(*numbers: int) -> bytes:
        kinds = ("Closing [something]", "Moving [a thing] up")
        return json.dumps([{"id": str(n), "template": kinds[n % 2], "label": "x"} for n in numbers]).encode()

    labels = {"Closing something": "0", "Moving a thing up": "1"}
    return {
        "labels.json": json.dumps(labels).encode(), "train.json": entries(1, 2, 9), "validation.json": entries(3, 4)
    }  # fmt: skip


def webdataset(root: Path) -> dict[str, bytes]:
    from tests.sources.test_webdataset import shard

    shard(root / "x.tar", {"a.mp4": b"1", "a.cls": "0", "b.mp4": b"2", "b.cls": "jump"})
    return {"classes.txt": b"run\njump\n"}


KINDS = {f.__name__: f for f in (folder, csv, ucf101, hmdb51, kinetics, ssv2, webdataset)}


def mutants(good: dict[str, bytes], count: int) -> Iterator[dict[str, bytes]]:
    """The lists of a source; then one of them, or two, changed."""
    mutator = Mutator(0)
    yield good
    for _ in range(count - 1):
        names = mutator.random.sample(sorted(good), min(len(good), mutator.random.choice((1, 1, 2))))
        yield good | {name: _changed(mutator, name, good[name]) for name in names}


def _changed(mutator: Mutator, name: str, data: bytes) -> bytes:
    draw = mutator.random
    if name.endswith(".json") and draw.random() < 0.7:
        return mutator.json(data)
    if draw.random() < 0.3:
        return mutator.spoilt(data)
    lines = data.split(b"\n")
    for _ in range(draw.choice((1, 1, 2, 3))):
        place = draw.randrange(len(lines))
        value = str(draw.choice(VALUES)).encode(errors="surrogatepass")
        fields = lines[place].split(b"," if name.endswith(".csv") else b" ")
        match draw.randrange(8):
            case 0:
                lines[place] = value
            case 1:
                lines.insert(place, draw.choice(lines))
            case 2 if len(lines) > 1:
                del lines[place]
            case 3:
                lines[place] = draw.choice((b"/", b"../", b"./", b"a/../", b"\0", b"\\")) + lines[place]
            case 4:
                lines[place] = lines[place] + draw.choice(
                    (b" ", b"\t1", b" " + b"9" * 5000, b"\0", b"\r", b"/", b'"', b",x")
                )
            case 5 if len(fields) > 1:
                fields.pop(draw.randrange(len(fields)))
                lines[place] = b" ".join(fields)
            case _:
                fields[draw.randrange(len(fields))] = value
                lines[place] = (b"," if name.endswith(".csv") else b" ").join(fields)
    return draw.choice((b"\n", b"\n", b"\n", b"\r\n", b"\r")).join(lines)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_lists(tmp_path: Path, kind: str) -> None:
    root = tmp_path / "source"
    good = KINDS[kind](root)
    (tmp_path / "secret.mp4").write_bytes(b"x")
    slots = {name: Slot(root / name) for name in good}
    place = root / "list.csv" if kind == "csv" else root

    def one(made: dict[str, bytes]) -> None:
        for name, data in made.items():
            slots[name].put(data)
        source = registry.find(f"{kind}:{place}")
        source.digest()
        for video in source.videos:
            if isinstance(video.medium, File):
                assert video.medium.path.resolve().is_relative_to(root), video

    check(attempt(one, mutants(good, cases(1000)), tmp_path))
