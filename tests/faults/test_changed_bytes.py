"""One flipped byte in each file that something is made from: it is found by digest, and the file is named."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from idtd_cli.distilled import DistilledSet
from idtd_cli.errors import IdtdError, InputError
from idtd_cli.prepared import PreparedSet
from idtd_cli.run_folder import RESULT, RunFolder
from tests import tiny
from tests.tiny import Heard, Impatient, contents, distil

EVERY = [0, 3, 7, 8, 20, 100, 200, -1, -2, -50, *(random.Random(0).random() for _ in range(30))]


def flip(path: Path, where: float = 0.5) -> None:
    """Flip a bit of the byte at a place: a number of bytes from either end, or a share of the length."""
    data = bytearray(path.read_bytes())
    data[int(where * len(data)) if isinstance(where, float) else where] ^= 4
    path.write_bytes(data)


@pytest.fixture
def set_(prepared: Path, tmp_path: Path) -> Path:
    """A prepared set of one's own."""
    return Path(shutil.copytree(prepared, tmp_path / "prepared"))


def stopped(prepared: Path, out: Path) -> Path:
    """A run with checkpoints after 2 and 4 of its 6 steps, as a kill leaves it."""
    with pytest.raises(KeyboardInterrupt):
        distil(prepared, out, tiny.recipe(), progress=Impatient(4))
    for path in (out / "checkpoints").iterdir():
        if path.name not in ("step-000002.safetensors", "step-000004.safetensors"):
            path.unlink()
    return out


@pytest.fixture
def begun(prepared: Path, tmp_path: Path) -> Path:
    return stopped(prepared, tmp_path / "run")


def test_whichever_byte_of_a_checkpoint_changes_the_one_before_is_taken(begun: Path) -> None:
    newest = begun / "checkpoints" / "step-000004.safetensors"
    whole = newest.read_bytes()
    for where in EVERY:
        flip(newest, where)
        damaged: list[Path] = []
        found = RunFolder.open(begun).latest_checkpoint(damaged.append)
        assert found is not None
        assert (found[0], damaged) == (2, [newest]), where
        newest.write_bytes(whole)
    found = RunFolder.open(begun).latest_checkpoint()
    assert found is not None
    assert found[0] == 4


@pytest.mark.parametrize(("flipped", "after"), [([4], 2), ([2, 4], 0)])
def test_a_run_goes_on_to_the_same_bytes_and_says_what_it_passed_over(
    prepared: Path, begun: Path, finished: Path, flipped: list[int], after: int
) -> None:
    paths = [begun / "checkpoints" / f"step-{step:06d}.safetensors" for step in flipped]
    for path in paths:
        flip(path)
    heard = Heard()
    distil(prepared, begun, resume=True, progress=heard)
    assert heard.notes == [
        f"{path} is damaged and passed over: the run goes on after step {after}." for path in reversed(paths)
    ]
    assert contents(begun) == contents(finished)


def test_the_best_checkpoint_has_none_before_it(prepared: Path, tmp_path: Path) -> None:
    content = tiny.recipe(distill__validate_every=2, distill__selection="best-on-validation")
    with pytest.raises(KeyboardInterrupt):
        distil(prepared, tmp_path / "run", content, progress=Impatient(4))
    best = tmp_path / "run" / "checkpoints" / "best.safetensors"
    flip(best)
    with pytest.raises(IdtdError, match=rf"^{best} is damaged\. Distil again, into a new folder\.$"):
        distil(prepared, tmp_path / "run", content, resume=True)


#: Whatever takes a prepared set.
TAKERS: dict[str, Callable[[Path, Path, Path], object]] = {
    "experts": lambda prepared, out, exported: tiny.experts(prepared, out),
    "distill": lambda prepared, out, exported: tiny.distil(prepared, out),
    "herding": lambda prepared, out, exported: tiny.distil(prepared, out, tiny.recipe(distill__method="herding")),
    "evaluate": lambda prepared, out, exported: tiny.evaluate([exported], prepared, out),
}


@pytest.mark.parametrize("name", TAKERS)
def test_a_shard_of_a_prepared_set(set_: Path, exported: Path, tmp_path: Path, name: str) -> None:
    (shard,) = (set_ / "shards").iterdir()
    flip(shard)
    with pytest.raises(InputError, match=rf"^{shard} has changed since it was written\. Remove {set_} and prepare"):
        TAKERS[name](set_, tmp_path / "out", exported)
    made = [path for path in tmp_path.rglob("*") if set_ not in path.parents and path.is_file()]
    assert {path.name for path in made} <= {"run.json", "experts.json", "recipe.yaml"}  # begun, and no more


@pytest.mark.parametrize("name", ["index.csv", "prepared.json", "shards"])
def test_a_set_that_changed_after_a_run_began_is_refused(set_: Path, finished: Path, tmp_path: Path, name: str) -> None:
    run = stopped(set_, tmp_path / "run")
    kept, before = Path(shutil.copytree(set_, tmp_path / "kept")), contents(run)
    if name == "prepared.json":  # one figure of it, as another set would have it
        content = json.loads((set_ / name).read_text())
        content["mean"][0] += 0.25
        (set_ / name).write_text(json.dumps(content))
        words = "was made from another prepared set"
    else:
        path = next((set_ / name).iterdir()) if name == "shards" else set_ / name
        flip(path)
        words = rf"^{path} (has changed since it was written|is not the one that prepared\.json describes)"
    with pytest.raises(InputError, match=words):
        distil(set_, run, resume=True)
    assert contents(run) == before
    shutil.rmtree(set_)
    shutil.copytree(kept, set_)
    distil(set_, run, resume=True)
    assert (run / RESULT).read_bytes() == (finished / RESULT).read_bytes()


def test_the_result_of_a_run(finished: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(finished, tmp_path / "run"))
    for where in EVERY:
        flip(run / RESULT, where)
        with pytest.raises(IdtdError, match=rf"^{run / RESULT} is missing or was changed since the run wrote it"):
            tiny.export(run, tmp_path / "set")
        flip(run / RESULT, where)
    assert not (tmp_path / "set").exists()


def test_experts(prepared: Path, experts: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(experts, tmp_path / "experts"))
    flip(copy / "expert-0001.safetensors")
    with pytest.raises(IdtdError, match=rf"^{copy / 'expert-0001.safetensors'} is missing or was changed since"):
        distil(prepared, tmp_path / "run", tiny.recipe(distill__matching="mtt"), experts=copy)


@pytest.mark.parametrize(
    ("name", "where"), [("data/train-000000-of-000001.tar", 0.9), ("set.json", 0.9), ("SHA256SUMS", 100)]
)
def test_a_distilled_set(exported: Path, tmp_path: Path, name: str, where: float) -> None:
    copy = Path(shutil.copytree(exported, tmp_path / "set"))
    flip(copy / name, where)
    with pytest.raises(InputError, match=str(copy)) as raised:
        DistilledSet.open(copy)
    assert any(named in raised.value.message for named in (name, "SHA256SUMS"))


def test_a_report(prepared: Path, exported: Path, reported: Path, tmp_path: Path) -> None:
    """Not one figure of it changes unseen."""
    report = Path(shutil.copytree(reported, tmp_path / "report"))
    whole = (report / "report.json").read_bytes()
    digits = [at for at, byte in enumerate(whole) if byte in b"12345"]
    for where in digits[:: len(digits) // 12]:
        flip(report / "report.json", where)
        with pytest.raises(InputError, match=rf"^{report / 'report.json'} ") as raised:
            tiny.evaluate([exported], prepared, report)
        (report / "report.json").write_bytes(whole)
    assert raised.value.hint == "Remove it, and write it again with `idtd evaluate SET... --on PREPARED --out OUT`."


def test_what_a_student_said(prepared: Path, exported: Path, reported: Path, tmp_path: Path) -> None:
    """It is trained again, it alone, says the same, and stands where it stood."""
    report = Path(shutil.copytree(reported, tmp_path / "report"))
    lines = (report / "scores.jsonl").read_bytes().splitlines(keepends=True)
    said = [json.loads(line)["found"] for line in lines]
    (report / "report.json").unlink()
    (report / "scores.jsonl").write_bytes(b"".join([lines[0], lines[1].replace(b"1", b"2", 1), *lines[2:]]))
    heard = Heard()
    tiny.evaluate([exported], prepared, report, progress=heard)
    assert heard.notes[:1] == [f"{report / 'scores.jsonl'}: line 2 is damaged; its student is trained again."]
    new = (report / "scores.jsonl").read_bytes().splitlines(keepends=True)
    assert [new[0], *new[2:]] == [lines[0], *lines[2:]]
    assert [json.loads(line)["found"] for line in new] == said


def test_one_shard_of_many_is_named(prepared: Path, tmp_path: Path) -> None:
    clips = (
        (f"{label}/{number}.mp4", label, "train", tiny.draw_clip(label, number))
        for label in range(3)
        for number in range(6)
    )
    clip = tiny.recipe().prepare.clip
    tiny.write_clips(tmp_path / "set", clip, tiny.CLASSES, clips, shard_bytes=2 * clip.stored_frames * 3 * 16 * 16)
    shards = sorted((tmp_path / "set" / "shards").iterdir())
    assert len(shards) == 9
    flip(shards[5])
    with pytest.raises(InputError, match=rf"^{shards[5]} has changed"):
        PreparedSet.open(tmp_path / "set").verify(Heard())
