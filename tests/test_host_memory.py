from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

#: Takes 8 × 16 MiB, lets go of them, and says how many MiB the process still has of what it took.
_SCRIPT = """
from idtd_cli import host_memory
{keep}
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 >> 20
before = resident()
blocks = [bytearray(b"x") * (16 << 20) for _ in range(8)]
del blocks
print(resident() - before)
"""
pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or platform.libc_ver()[0] != "glibc", reason="only glibc's allocator is told anything"
)


def left(keep: str, **environment: str) -> int:
    script, surroundings = _SCRIPT.format(keep=keep), {**os.environ, **environment}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=surroundings)
    return int(done.stdout)


def test_memory_is_kept_that_would_go_back_to_the_kernel() -> None:
    assert left("") < 40
    assert left("host_memory.keep()") > 100


def test_whoever_sets_the_allocator_has_the_say() -> None:
    assert left("host_memory.keep()", MALLOC_TRIM_THRESHOLD_="131072") < 40
