"""`idtd doctor`: what works on this machine, tried and not guessed, and how to mend what does not."""

from __future__ import annotations

import importlib.util
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from idtd_cli import provenance
from idtd_cli.errors import IdtdError
from idtd_cli.version import __version__

#: `fail`: a command will not run. `note`: one can do without.
State = Literal["ok", "note", "fail"]
_PYTHONS = ((3, 10), (3, 13))
#: A small set of one's own, its runs and its reports.
_DISK = 5 << 30
#: Distilling the demo set takes about as much.
_MEMORY = 4 << 30


@dataclass(frozen=True)
class Finding:
    """What was looked at, what was found, and what to do about it."""

    what: str
    state: State
    found: str
    mend: str = ""


def examine(folder: Path) -> Iterator[Finding]:
    """Look at everything that a command may need.

    Args:
        folder: where results are to go.
    """
    yield _python()
    yield from _torch()
    yield from _video()
    yield _disk(folder)
    yield _memory()
    yield from _extras()
    yield _hub()


def _python() -> Finding:
    version, (least, most) = sys.version_info[:2], _PYTHONS
    known = least <= version <= most
    mend = "" if known else f"idtd is tested with {'.'.join(map(str, least))} to {'.'.join(map(str, most))}."
    found = f"{platform.python_version()}, idtd {__version__}, {platform.system()} on {platform.machine()}"
    return Finding("Python", "ok" if known else "note", found, mend)


def _torch() -> Iterator[Finding]:
    try:
        import torch
    except (ImportError, OSError) as error:
        yield Finding("torch", "fail", f"cannot be loaded: {error}", "Install it: https://pytorch.org/get-started.")
        return
    yield Finding("torch", "ok", f"{torch.__version__}, {torch.get_num_threads()} threads, {provenance.cores()} cores")
    if not torch.cuda.is_available():
        built = torch.version.cuda
        why = f"torch was built for CUDA {built} and finds no device" if built else "torch was built without CUDA"
        mend = (
            "See `nvidia-smi`; the driver must be new enough." if built else "With an NVIDIA GPU, install a CUDA torch."
        )
        yield Finding("GPU", "note", f"none: {why}; everything runs on the CPU", mend)
        return
    for number in range(torch.cuda.device_count()):
        facts = torch.cuda.get_device_properties(number)
        bf16 = "bfloat16" if torch.cuda.is_bf16_supported() else "no bfloat16"
        try:
            torch.zeros(1, device=f"cuda:{number}").add_(1).item()
        except RuntimeError as error:
            yield Finding(
                "GPU", "fail", f"{facts.name} does not compute: {error}", "Install the torch for this driver."
            )
            continue
        yield Finding("GPU", "ok", f"{facts.name}, {size(facts.total_memory)}, {bf16}")


def _video() -> Iterator[Finding]:
    """A clip is written and read as the stages do it."""
    try:
        from idtd_cli.recipe import ClipConfig
        from idtd_cli.video import decode, encode
        from idtd_cli.video.medium import File
    except (ImportError, OSError) as error:
        yield Finding(
            "video", "fail", f"cannot be loaded: {error}", "Reinstall idtd: pip install --force-reinstall idtd-cli."
        )
        return
    frames_THW3 = np.random.default_rng(0).integers(0, 256, (8, 16, 16, 3), dtype=np.uint8)
    with tempfile.TemporaryDirectory(prefix="idtd-doctor-") as folder:
        lossless, plain = Path(folder) / "lossless.mp4", Path(folder) / "plain.mp4"
        try:
            encode.write_lossless(lossless, frames_THW3, 8)
            encode.write_h264(plain, frames_THW3, 8, crf=18)
        except IdtdError as error:
            mend = "Reinstall it: pip install --force-reinstall imageio-ffmpeg."
            yield Finding("encoder", "fail", error.message, mend)
            return
        yield Finding("encoder", "ok", "ffmpeg of imageio-ffmpeg writes H.264, lossless and plain")
        exact = np.array_equal(decode.read_exact(lossless), frames_THW3)
        if not exact:
            yield Finding("lossless", "fail", "videos do not read back as they were written", "Please report it.")
        clip = ClipConfig(frames=8, stored_frames=8, height=16, width=16)
        for name, package in (("pyav", "av"), ("decord", "decord")):
            if importlib.util.find_spec(package) is None:
                yield Finding(f"decoder {name}", "note", "is not installed", f"pip install {package}")
                continue
            try:
                read = decode.decode(File(plain), clip, decoder=name, video_id="doctor").decoder
            except Exception as error:
                yield Finding(f"decoder {name}", "fail", f"cannot read a plain MP4: {error}", f"Reinstall {package}.")
                continue
            mend = "" if read == name else f"{read} took its place; reinstall {package}."
            yield Finding(f"decoder {name}", "ok" if read == name else "note", "reads H.264", mend)


def _disk(folder: Path) -> Finding:
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.is_dir())
    free = shutil.disk_usage(there).free
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        return Finding("disk", "fail", f"{there} cannot be written to: {error.strerror}", "Name another folder.")
    little = free < _DISK
    mend = f"Keep {size(_DISK)} free for a small set and its runs." if little else ""
    return Finding("disk", "note" if little else "ok", f"{size(free)} free in {there}", mend)


def _memory() -> Finding:
    try:
        from idtd_cli.stages import clips
    except (ImportError, OSError) as error:
        return Finding("memory", "note", f"not known: {error}", "Mend what is above first.")
    free = clips.free_bytes("cpu")
    little = free < _MEMORY
    mend = "Sets that do not fit are read from disk as they are drawn, which is slower." if little else ""
    return Finding("memory", "note" if little else "ok", f"{size(free)} free", mend)


def _extras() -> Iterator[Finding]:
    for package, extra, what in (
        ("ray", "ray", "preparing on several machines"),
        ("tensorboard", "tensorboard", "`idtd distill --tensorboard`"),
    ):
        there = importlib.util.find_spec(package) is not None
        found = "installed" if there else f"not installed: needed for {what} alone"
        yield Finding(package, "ok" if there else "note", found, "" if there else f"pip install 'idtd-cli[{extra}]'")


def _hub() -> Finding:
    """Whether there is a token; it is neither shown nor tried."""
    from huggingface_hub import constants, get_token

    if constants.HF_HUB_OFFLINE:
        return Finding("Hub", "note", "HF_HUB_OFFLINE is set: only what was downloaded before is there", "Unset it.")
    if get_token() is None:
        return Finding("Hub", "note", "not logged in: needed to publish, and for gated sets", "Log in: hf auth login.")
    return Finding("Hub", "ok", f"a token is there, for {constants.ENDPOINT}")


def size(count: int) -> str:
    """Bytes, in GB: what is needed to say it elsewhere may be what is missing."""
    return f"{count / 1e9:.1f} GB"


_SIGNS: dict[State, str] = {"ok": "ok  ", "note": "note", "fail": "FAIL"}


def line(finding: Finding) -> str:
    """A finding as a line."""
    return f"{_SIGNS[finding.state]}  {finding.what}: {finding.found}." + (f" {finding.mend}" if finding.mend else "")
