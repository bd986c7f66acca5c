"""Memory and descriptors stay flat over many steps and many files: `benchmarks/soak.py`, shortened."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
#: KiB each 100 steps or files. What every step makes is far more: one of its losses with its graph is hundreds of KiB.
MOST = {"steps": 400, "files": 100}


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads /proc")
def test_memory_and_descriptors_are_flat(tmp_path: Path) -> None:
    command = [sys.executable, "benchmarks/soak.py", str(tmp_path), "--steps", "500", "--files", "2000", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert len(found) == 2
    for what, series in found.items():
        for who, facts in series.items():
            least, most = facts["descriptors"]
            assert most - least <= 4, f"{what}, {who}: {facts}"  # files that are open for a moment
            assert facts["slope"] < MOST[what.split()[1]], f"{what}, {who}: {facts}"
