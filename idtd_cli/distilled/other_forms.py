"""Sets as other programs of the field load them. Such a form is made from a set and is no part of it.

- `tensors`: what the video methods keep and train on, `images` (N, T, C, H, W) and `labels`, as their `images_best.pt`.
- `ddranking`: what DD-Ranking (https://github.com/NUS-HPC-AI-Lab/DD-Ranking) is given, which knows images alone: each
  frame is one.
- `frames`: class folders with a folder of numbered pictures for each video, as the video methods read real videos.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Literal

import torch
from PIL import Image
from pydantic import Field
from torch import Tensor

from idtd_cli.distilled import DistilledSet, digest
from idtd_cli.documents import Document

Form = Literal["ddranking", "tensors", "frames"]


class FormDocument(Document):
    """form.json: what the files of such a form are."""

    KIND: ClassVar[str] = "distilled set in another form"
    FILE: ClassVar[str] = "form.json"
    COMMAND: ClassVar[str] = "idtd export RUN OUT --also FORM"

    form: Form
    classes: tuple[str, ...] = Field(description="by index")
    segments: int = Field(description="K: a video is K pieces, one after another, and each is a clip to train on")
    mean: tuple[float, float, float] = Field(description="what tensors are normalised with, per channel, in 0..1")
    std: tuple[float, float, float]
    temperature: float | None = Field(description="τ of the soft labels; null: there are none")
    files: dict[str, str] = Field(description="what each file is")


def place(out: Path, form: Form) -> Path:
    """Where a form of the set in `out` goes: beside it."""
    out = out.resolve()  # which may be called `.`
    return out.with_name(f"{out.name}-{form}")


def parents(out: Path) -> dict[str, str]:
    """What the forms of a set are made from."""
    return {"set": digest(out)}


def write(folder: Path, opened: DistilledSet, form: Form) -> FormDocument:
    """Write a set in another form into a folder. Tensors load with `torch.load(…, weights_only=True)`."""
    files = _WRITERS[form](folder, opened)
    of = opened.document
    document = FormDocument(
        parents=parents(opened.path),
        form=form,
        classes=of.classes,
        segments=of.segments,
        mean=of.mean,
        std=of.std,
        temperature=of.temperature,
        files=files,
    )
    document.write(folder)
    return document


def _save(tensor: Tensor, path: Path) -> None:
    """Through a file of Python's: torch's own does not say that a disk is full."""
    with open(path, "wb") as file:
        torch.save(tensor, file)


def _tensors(folder: Path, opened: DistilledSet) -> dict[str, str]:
    files = {
        "images.pt": "(N, T, 3, H, W) float32: videos in class order, normalised",
        "labels.pt": "(N,) int64: their classes",
    }
    _save(_normalised(opened), folder / "images.pt")
    _save(opened.labels_N, folder / "labels.pt")
    if opened.logits_NKC is not None:
        files["logits.pt"] = "(N, K, C) float32: soft labels of the K pieces, as logits"
        _save(opened.logits_NKC, folder / "logits.pt")
    return files


def _ddranking(folder: Path, opened: DistilledSet) -> dict[str, str]:
    count, frames = opened.videos_NT3HW.shape[:2]
    files = {
        "images.pt": "(N·T, 3, H, W) float32: all frames of all videos in class order, normalised; "
        f"{count * frames // len(opened.document.classes)} a class (ipc)",
        "hard_labels.pt": "(N·T,) int64: their classes",
    }
    _save(_normalised(opened).flatten(0, 1), folder / "images.pt")
    _save(opened.labels_N.repeat_interleave(frames), folder / "hard_labels.pt")
    if opened.logits_NKC is not None:
        files["soft_labels.pt"] = "(N·T, C) float32: logits of the piece that a frame is in"
        segment_T = torch.arange(frames) * opened.document.segments // frames
        _save(opened.logits_NKC[:, segment_T].flatten(0, 1), folder / "soft_labels.pt")
    return files


def _frames(folder: Path, opened: DistilledSet) -> dict[str, str]:
    document = opened.document
    names = document.class_files()
    for number, video_T3HW in enumerate(opened.videos_NT3HW):
        video = folder / names[number // document.videos_a_class] / document.key(number)
        video.mkdir(parents=True)
        for frame, frame_3HW in enumerate(video_T3HW, start=1):
            Image.fromarray(frame_3HW.permute(1, 2, 0).contiguous().numpy()).save(video / f"frame{frame:06d}.png")
    (folder / "classes.txt").write_text("".join(f"{name}\n" for name in names), encoding="utf-8", newline="\n")
    return {
        "CLASS/KEY/frameNNNNNN.png": "the frames of a video, value by value, from 1 on",
        "classes.txt": "the class folders by index",
    }


def _normalised(opened: DistilledSet) -> Tensor:
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (opened.document.mean, opened.document.std))
    return (opened.videos_NT3HW / 255 - mean) / std


_WRITERS: dict[Form, Callable[[Path, DistilledSet], dict[str, str]]] = {
    "ddranking": _ddranking,
    "tensors": _tensors,
    "frames": _frames,
}
