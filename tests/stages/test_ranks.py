"""Several processes that share the classes of a run make what one process makes, but for rounding."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from idtd_cli.errors import IdtdError, InputError
from idtd_cli.method.normalisation import Normalisation
from idtd_cli.method.real_clips import RealClips
from idtd_cli.method.shard import Shard
from idtd_cli.method.streamed_clips import StreamedClips
from idtd_cli.method.temporal_augmentation import TemporalAugmentation
from idtd_cli.method.views import RealViews
from idtd_cli.ranks import Ranks, _in_words, started
from idtd_cli.run_folder import RunFolder
from idtd_cli.runlog import read_lines
from tests.stages.together import RUNS, STEPS, content
from tests.tiny import Impatient, contents, distil, experts, recipe

ROOT = Path(__file__).parents[2]


def torchrun(*arguments: object, processes: int = 2) -> subprocess.Popen[str]:
    """Some processes, with three classes to share."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes), "-m"]
    return subprocess.Popen(
        [*launcher, *map(str, arguments)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def said(err: str) -> list[str]:
    """What idtd had to say; the rest is torchrun's."""
    return [line for line in err.splitlines() if line.startswith("idtd: ")]


@pytest.fixture(scope="module")
def two(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The runs of two processes."""
    out = tmp_path_factory.mktemp("two")
    with pytest.raises(KeyboardInterrupt):
        distil(prepared, out / "from-one", content("idtd"), progress=Impatient(2))
    stopped = RunFolder.open(out / "from-one")
    best = stopped.best_checkpoint()
    assert best is not None
    stopped.save_best(best[0], 1.0, best[2])  # no later one can be better, and that all must know
    shutil.copytree(stopped.path, out / "from-one-alone")
    process = torchrun("tests.stages.together", "runs", prepared, out)
    talk, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert sorted(talk.splitlines()) == ["rank 0 was stopped", "rank 1 was stopped"]
    return out


@pytest.fixture(scope="module")
def one(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same runs of one process."""
    out = tmp_path_factory.mktemp("one")
    for name in RUNS:
        distil(prepared, out / name, content(name))
    return out


def far(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> dict[str, float]:
    """Of each tensor how far the second is from the first, as a share of its length; most are not far enough to show.

    Not number by number: Adam makes as large a step of a gradient that is all rounding as of any other.
    """
    assert one.keys() == two.keys()
    lengths = {name: value.double().norm().clamp(min=1e-30) for name, value in one.items()}
    shares = {name: ((one[name] - two[name]).double().norm() / lengths[name]).item() for name in one}
    return {name: share for name, share in shares.items() if share > (1e-5 if "parameter" in name else 5e-5)}


def same_videos(one: Path, two: Path) -> None:
    (videos, labels, _), (others, other_labels, _) = RunFolder.open(one).result(), RunFolder.open(two).result()
    assert torch.equal(labels, other_labels)
    distance = (videos.int() - others.int()).abs()
    assert distance.max() <= 1
    assert distance.sum() < 1e-3 * distance.numel()


@pytest.mark.parametrize("name", RUNS)
def test_two_processes_make_what_one_makes(one: Path, two: Path, name: str) -> None:
    same_videos(one / name, two / name)
    files, others = contents(one / name).keys(), contents(two / name).keys()
    assert files == others
    checkpoints = [file for file in files if file.startswith("checkpoints/") and file.endswith(".safetensors")]
    assert len(checkpoints) >= 2
    for file in checkpoints:
        assert far(load_file(one / name / file), load_file(two / name / file)) == {}
    assert (one / name / "run.json").read_text().replace(digest(one / name), digest(two / name)) == (
        two / name / "run.json"
    ).read_text()
    told, others_told = (list(read_lines(folder / name / "metrics.jsonl")) for folder in (one, two))
    assert len(told) >= STEPS
    assert [pytest.approx(line, rel=1e-4, abs=1e-6) for line in told] == others_told


def digest(run: Path) -> str:
    found = RunFolder.open(run).document.result_sha256
    assert found is not None
    return found


def test_the_speed_is_that_of_all(one: Path, two: Path) -> None:
    """What differs is the time; clips are three synthetic ones and four real ones a class and step."""
    shown, operations = [], []
    for folder in (one, two):
        lines = list(read_lines(folder / "pixel" / "speed.jsonl"))
        shown.append(sum(line["clips_per_second"] * line["seconds_per_step"] * 2 for line in lines))
        operations.append(sum(line["flops_per_second"] * line["seconds_per_step"] for line in lines))
    assert shown[0] == pytest.approx(shown[1])
    assert operations[0] == pytest.approx(operations[1])


def test_two_processes_go_on_with_the_run_of_one(prepared: Path, two: Path) -> None:
    alone = distil(prepared, two / "from-one-alone", content("idtd"), resume=True)
    same_videos(alone, two / "from-one")
    checkpoints = [RunFolder.open(run).latest_checkpoint() for run in (alone, two / "from-one")]
    assert checkpoints[0] is not None
    assert checkpoints[1] is not None
    assert 2 < checkpoints[0][0] == checkpoints[1][0]
    assert far(checkpoints[0][1], checkpoints[1][1]) == {}


def test_one_process_goes_on_with_the_run_of_two(prepared: Path, one: Path, two: Path) -> None:
    checkpoint = RunFolder.open(two / "from-two").latest_checkpoint()
    assert checkpoint is not None
    assert 2 <= checkpoint[0] < STEPS
    distil(prepared, two / "from-two", content("idtd-dataset"), resume=True)
    same_videos(one / "idtd-dataset", two / "from-two")


def test_ctrl_c_ends_all_of_them_and_keeps_the_steps_taken(prepared: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    settings = ["--set", "distill.steps=100000", "--set", "distill.checkpoint_every=20"]
    process = torchrun("idtd_cli", "distill", prepared, out, "--device", "cpu", *settings)
    deadline = time.monotonic() + 60
    while not (out / "checkpoints").exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode != 0
    assert len(said(err)) == 1
    assert said(err)[0].startswith("idtd: Stopped.")
    checkpoint = RunFolder.open(out).latest_checkpoint()
    assert checkpoint is not None
    assert checkpoint[0] == len(list(read_lines(out / "metrics.jsonl"))) >= 20


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        # What comes first, torchrun's signal or the silence of the other, depends on who is quicker.
        (
            "dies",
            r"idtd: (A|torchrun ends this run: a)nother process of (this run|it) has ended\W.*; the same command with",
        ),
        ("fails", r"idtd: Rank 1 has no more room\. Give it some\."),
    ],
)
def test_where_one_fails_all_end_with_one_sentence(prepared: Path, tmp_path: Path, how: str, sentence: str) -> None:
    settings = ["--set", "distill.steps=100000", "--set", "distill.checkpoint_every=2"]
    process = torchrun(
        "tests.stages.together", how, "distill", prepared, tmp_path / "run", "--device", "cpu", *settings
    )
    _, err = process.communicate(timeout=60)
    assert process.returncode != 0
    assert f'File "{ROOT / "idtd_cli"}' not in err  # there is a traceback, and it is torchrun's own
    [heard] = said(err)
    assert re.match(sentence, heard), heard


@pytest.mark.slow
def test_where_rank_0_kept_the_store_and_is_gone_the_others_say_so(prepared: Path, tmp_path: Path) -> None:
    """Processes that something else than torchrun started: where they would ask who was first, nobody answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    command = [sys.executable, "-m", "tests.stages.together", "killed", "0", "3", "distill", prepared, tmp_path / "run"]
    settings = ["--set", "distill.steps=100000", "--set", "distill.checkpoint_every=2", "--device", "cpu"]
    world = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    processes = [
        subprocess.Popen(
            [*command, *settings], cwd=ROOT, stderr=subprocess.PIPE, text=True,
            env=os.environ | world | {"RANK": rank, "LOCAL_RANK": rank},
        )
        for rank in "01"
    ]  # fmt: skip
    _, err = processes[1].communicate(timeout=120)
    processes[0].communicate(timeout=60)
    assert [process.returncode for process in processes] == [-signal.SIGKILL, 1], err
    assert said(err) == [
        "idtd: Another process of this run has ended. torchrun says which; the same command with --resume goes on."
    ]
    assert "Traceback" not in err


@pytest.mark.slow
def test_a_run_whose_ranks_are_killed_goes_on_with_more_and_with_fewer(prepared: Path, tmp_path: Path) -> None:
    """From one process to two, of which one is killed too, and from there to three, or to one."""
    settings, run = content("idtd"), tmp_path / "run"
    (tmp_path / "recipe.yaml").write_text(settings.to_yaml())
    command = ["distill", prepared, run, "--device", "cpu", "--recipe", tmp_path / "recipe.yaml", "--resume"]
    alone = subprocess.run(
        [sys.executable, "-m", "tests.stages.together", "killed", "0", "3", *map(str, command)], cwd=ROOT
    )
    assert alone.returncode == -signal.SIGKILL
    assert kept(run) == 2

    process = torchrun("tests.stages.together", "killed", "1", "5", *command)
    _, err = process.communicate(timeout=120)
    assert process.returncode != 0
    assert said(err) == [
        "idtd: Another process of this run has ended. torchrun says which; the same command with --resume goes on."
    ]
    assert kept(run) == 4

    shutil.copytree(run, tmp_path / "fewer")
    process = torchrun("idtd_cli", *command, processes=3)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    distil(prepared, tmp_path / "fewer", settings, resume=True)

    never_killed = distil(prepared, tmp_path / "never-killed", settings)
    checkpoint = RunFolder.open(never_killed).latest_checkpoint()
    for other in (run, tmp_path / "fewer"):
        same_videos(never_killed, other)
        found = RunFolder.open(other).latest_checkpoint()
        assert checkpoint is not None
        assert found is not None
        assert checkpoint[0] == found[0]
        assert far(checkpoint[1], found[1]) == {}
        steps = [line["step"] for line in read_lines(other / "metrics.jsonl")]
        assert steps == [line["step"] for line in read_lines(never_killed / "metrics.jsonl")]


def kept(run: Path) -> int:
    """Steps that the last checkpoint was taken after."""
    checkpoint = RunFolder.open(run).latest_checkpoint()
    assert checkpoint is not None
    return checkpoint[0]


def test_what_cannot_be_shared_is_said_once(prepared: Path, tmp_path: Path) -> None:
    process = torchrun("idtd_cli", "distill", prepared, tmp_path / "run", "--set", "distill.matching=frepo")
    _, err = process.communicate(timeout=60)
    assert process.returncode != 0
    assert said(err) == [
        "idtd: Matching frepo looks at all classes at once and runs in one process; torchrun started 2. "
        "Run `idtd distill` without torchrun."
    ]
    assert contents(tmp_path) == {}


def test_what_needs_all_classes_at_once_is_refused(prepared: Path, tmp_path: Path) -> None:
    two, made = Ranks(1, 2), experts(prepared, tmp_path / "experts")
    with pytest.raises(InputError, match=r"^Matching mtt looks at all classes at once and runs in one process"):
        distil(prepared, tmp_path / "run", recipe(distill__matching="mtt"), experts=made, ranks=two)
    with pytest.raises(InputError, match=r"^The method herding runs in one process; torchrun started 2\."):
        distil(prepared, tmp_path / "run", recipe(distill__method="herding"), ranks=two)
    with pytest.raises(InputError, match=r"^torchrun started 4 processes, and there are 3 classes to share\."):
        distil(prepared, tmp_path / "run", ranks=Ranks(0, 4))
    assert not (tmp_path / "run").exists()


def test_more_processes_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(InputError, match=r"started 2 processes on a machine with 1 GPU\. Start one a GPU"):
        Ranks(0, 2, 0, 2).take("cuda")
    Ranks(0, 2, 0, 2).take("cpu")


def test_a_rank_that_is_told_to_end_says_why_once() -> None:
    """Wherever it is; within the loop, a step is finished first."""
    before = signal.getsignal(signal.SIGTERM)
    with _in_words():
        pass
    assert signal.getsignal(signal.SIGTERM) is before
    try:
        with pytest.raises(IdtdError, match=r"^torchrun ends this run: another process of it has ended"), _in_words():
            signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)  # its end has begun
    finally:
        signal.signal(signal.SIGTERM, before)


def test_half_of_an_environment_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(InputError, match="WORLD_SIZE asks for several processes"), started():
        pass


def test_a_rank_reads_clips_of_its_own_classes_alone() -> None:
    """Those that one process sees of these classes, and for the next turn as well."""
    videos, labels = torch.randint(0, 256, (12, 4, 3, 8, 8), dtype=torch.uint8), torch.arange(3).repeat_interleave(4)
    asked: list[list[int]] = []

    def fetch(index: list[int]) -> torch.Tensor:
        asked.append(index)
        return videos[index]

    normalisation = Normalisation((0.5, 0.5, 0.5), (0.3, 0.3, 0.3), "cpu")
    streamed = RealClips(StreamedClips(fetch, tuple(videos.shape), torch.device("cpu")), labels, 3)
    own = RealViews(streamed, normalisation, TemporalAugmentation(1, speed=2.0), 4, Ranks(1, 2))
    every = RealViews(RealClips(videos, labels, 3), normalisation, TemporalAugmentation(1, speed=2.0), 4)
    config = recipe(distill__batch_real=2).distill
    for turn in range(3):
        assert torch.equal(own.of_turn(config, turn), every.of_turn(config, turn)[2:])
    assert own.shown == 3 * 4
    assert [len(index) for index in asked[:3]] == [4, 4, 4]  # those of a fourth turn may be read by now
    assert all(clip >= 4 for index in asked for clip in index)


@pytest.mark.parametrize("of", [1, 2, 3, 5, 7])
def test_every_class_is_somebodys(of: int) -> None:
    """In blocks that differ by one at most; the rows of all, below one another, are all rows in order."""
    shards = [Shard(7, Ranks(number, of)) for number in range(of)]
    assert [label for shard in shards for label in shard.classes] == list(range(7))
    assert {len(shard.classes) for shard in shards} <= {7 // of, -(-7 // of)}
    assert sum(shard.share for shard in shards) == pytest.approx(1)
    rows = torch.arange(21)
    assert torch.cat([rows[shard.rows(21)] for shard in shards]).tolist() == rows.tolist()
