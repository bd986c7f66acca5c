"""Where a result comes from: versions, machine, device."""

from __future__ import annotations

import os
import platform
from importlib import metadata

from idtd_cli.errors import InputError

#: Packages whose version can change a result.
_PACKAGES = ("idtd-cli", "torch", "numpy", "av", "decord", "safetensors", "webdataset", "imageio-ffmpeg")


def versions() -> dict[str, str]:
    """Version of Python and of each package that can change a result; missing ones are left out."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def cores() -> int:
    """Cores that this process may use, not those that the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def hardware(device: str) -> str:
    """One line: the processor, and the GPU where one is used."""
    line = f"{_processor()}, {cores()} cores"
    if device.startswith("cuda"):
        import torch

        line = f"{torch.cuda.get_device_name()}, {line}"
    return line


def resolve_device(asked: str) -> str:
    """`auto`, `cpu` or `cuda` → the device that torch is to use.

    Raises:
        InputError: `cuda` was asked for and there is none.
    """
    import torch

    present = torch.cuda.is_available()
    if asked == "cuda" and not present:
        raise InputError("--device cuda: torch finds no CUDA device.", "Use --device cpu, or install a CUDA torch.")
    return "cuda" if asked == "cuda" or (asked == "auto" and present) else "cpu"


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
