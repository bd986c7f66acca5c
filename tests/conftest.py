"""The smallest sets on which every stage runs, each made once a session. Tests that change one work on a copy."""

from __future__ import annotations

import os

# Before torch is loaded, and for the processes that tests start: tiny tensors gain nothing from threads, and the bytes
# of a result may depend on how many there are.
os.environ["OMP_NUM_THREADS"] = "1"

from pathlib import Path

import hypothesis
import pytest

from tests import tiny

# The same examples in every run, and no limit on the time of one: the machine may be busy.
hypothesis.settings.register_profile("same", derandomize=True, deadline=None)
hypothesis.settings.load_profile("same")


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_prepared(tmp_path_factory.mktemp("tiny") / "prepared")


@pytest.fixture(scope="session")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A source: a few drawn videos of three classes, with lists."""
    return tiny.draw_videos(tmp_path_factory.mktemp("videos") / "demo")


@pytest.fixture(scope="session")
def finished(prepared: Path) -> Path:
    """A finished run of IDTD."""
    return tiny.distil(prepared, prepared.parent / "runs" / "idtd")


@pytest.fixture(scope="session")
def experts(prepared: Path) -> Path:
    """Two experts."""
    return tiny.experts(prepared, prepared.parent / "experts")


@pytest.fixture(scope="session")
def exported(finished: Path) -> Path:
    """The set of the finished run."""
    return tiny.export(finished, finished.parents[1] / "sets" / "idtd")


@pytest.fixture(scope="session")
def reported(exported: Path, prepared: Path) -> Path:
    """An evaluation of the exported set."""
    return tiny.evaluate([exported], prepared, prepared.parent / "report")
