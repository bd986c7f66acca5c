"""What each of the processes does that `test_ranks.py` has torchrun start: `runs PREPARED OUT`, or a way to go wrong.

The ways to go wrong come before the arguments of a command: rank 1 `dies`, or it `fails` and says why; or a rank is
`killed RANK STEP`, once it has taken so many steps of a run.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from idtd_cli import ranks
from idtd_cli.cli import app
from idtd_cli.errors import IdtdError
from idtd_cli.runlog import Quiet
from idtd_cli.stages import clips
from tests.tiny import distil, recipe

RUNS: dict[str, dict[str, Any]] = {
    "idtd": {"validate_every": 4, "preview_every": 3, "selection": "best-on-validation"},
    "idtd-dataset": {"idtd__pool__scope": "dataset", "ipc": 2, "network_steps": 2},
    # Adam makes a whole step of a gradient that is nothing but rounding: it should not be a long one.
    "pixel": {
        "method": "pixel",
        "pixel": {"step_size": 0.1},
        "augmentation": {"span": 0.5, "window": 0.5, "speed": 2.0},
    },
    "static-dynamic": {"method": "static-dynamic"},
    "dc": {"matching": "dc", "dc": {"networks": 2, "turns": 2, "updates": 2}, "augmentation": {"views": "whole"}},
    "streamed": {"dm": {"common": 0.3}},
}
STEPS = 6


def content(name: str) -> Any:
    return recipe(**{f"distill__{key}": value for key, value in RUNS[name].items()}, distill__steps=STEPS)


class Doing(Quiet):
    """A progress on which something happens once two steps are done."""

    def __init__(self, does: Callable[[], object]) -> None:
        self._does = does

    def advance(self, n: int = 1, **facts: object) -> None:
        self._does()


def _fail() -> None:
    raise IdtdError("Rank 1 has no more room.", "Give it some.")


def _runs(prepared: Path, out: Path) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
    share = clips.SHARE
    with ranks.started() as those:
        for name in RUNS:
            clips.SHARE = 0 if name == "streamed" else share
            distil(prepared, out / name, content(name), ranks=those)
        distil(prepared, out / "from-one", content("idtd"), ranks=those, resume=True)
        try:
            progress = Quiet() if those.first else Doing(lambda: signal.raise_signal(signal.SIGINT))
            distil(prepared, out / "from-two", content("idtd-dataset"), ranks=those, progress=progress)
        except KeyboardInterrupt:
            sys.stdout.write(f"rank {those.number} was stopped\n")


def _kill_after(steps: int) -> None:
    match = import_module("idtd_cli.stages.distill.match")  # the package calls its function so, too
    distil_from = match.distil

    def mortal(*given: Any) -> Iterator[Any]:
        *_, done = given
        for taken, step in enumerate(distil_from(*given), done):
            if taken == steps:
                os.kill(os.getpid(), signal.SIGKILL)
            yield step

    match.distil = mortal  # type: ignore[attr-defined]


def main() -> None:
    what, *rest = sys.argv[1:]
    if what == "runs":
        _runs(*map(Path, rest))
        return
    if what == "killed":
        rank, steps, *rest = rest
        if os.environ.get("RANK", "0") == rank:
            _kill_after(int(steps))
    elif os.environ["RANK"] == "1":
        does = {"dies": lambda: os.kill(os.getpid(), signal.SIGKILL), "fails": _fail}[what]
        Quiet.advance = lambda *_, **__: does()  # type: ignore[method-assign]
    sys.argv[1:] = rest
    app.main()


if __name__ == "__main__":
    main()
