"""Sets that other tools made: tensors in a .pt file, videos in any layout that is a source, another prepared set.

import:clips.pt[?values=bytes|unit|imagenet|data]    (N, T, 3, H, W), in class order or with labels
folder:DIR, webdataset:DIR, …                        videos of the classes, as `idtd prepare` takes them
prepared:DIR                                         the training clips of a prepared set
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from idtd_cli import storage
from idtd_cli.engines import engine
from idtd_cli.engines import registry as engines
from idtd_cli.errors import InputError
from idtd_cli.method.normalisation import IMAGENET
from idtd_cli.method.streamed_clips import Clips, StreamedClips
from idtd_cli.prepared import PreparedDocument, PreparedSet
from idtd_cli.recipe import ClipConfig, DecodeConfig
from idtd_cli.report.summary import size
from idtd_cli.runlog import Progress
from idtd_cli.sources import registry as sources
from idtd_cli.sources.clip import clip_of
from idtd_cli.stages import clips
from idtd_cli.stages.evaluate import tensor_file

#: What the numbers of a tensor file are, by the word that says so.
VALUES = ("bytes", "unit", "imagenet", "data")
_CLIPS = ("videos", "clips", "images", "data", "x")
_DTYPES = (torch.uint8, torch.float16, torch.bfloat16, torch.float32, torch.float64)
_LABELS = ("labels", "label", "targets", "y")


@dataclass(frozen=True)
class OtherSet:
    """A set to train on that idtd did not make: its clips, for the device, in class order.

    Attributes:
        path: what it is called by.
        digest: of its clips and classes.
        videos_NF3HW: in 0..255, uint8 or float.
        labels_N: class of each.
        stored_bytes: of the clips, as they are stored without compression.
    """

    path: Path
    digest: str
    videos_NF3HW: Clips
    labels_N: Tensor
    stored_bytes: int

    @property
    def ipc(self) -> int:
        """Videos a class; rounded up where classes have different numbers of them."""
        return -(-len(self.labels_N) // len(self.labels_N.unique()))

    @property
    def frames(self) -> int:
        return self.videos_NF3HW.shape[1]

    @property
    def stored_frames(self) -> int:
        return len(self.labels_N) * self.frames

    def __reduce__(self) -> tuple[Any, ...]:
        """For another process: a copy, where torch would share the memory; clips that are streamed are read there."""
        videos = self.videos_NF3HW.cpu().numpy() if isinstance(self.videos_NF3HW, Tensor) else self.videos_NF3HW
        labels = self.labels_N.cpu().numpy()
        return _received, (self.path, self.digest, videos, labels, self.stored_bytes)

    def on(self, device: str) -> OtherSet:
        """The same, with its clips in a device's memory; those that are streamed go there when they are drawn."""
        videos = self.videos_NF3HW
        videos = videos.to(device) if isinstance(videos, Tensor) else videos
        return replace(self, videos_NF3HW=videos, labels_N=self.labels_N.to(device))

    def example_CT3HW(self) -> Tensor:
        """The first video of each class, as bytes."""
        first_C = torch.searchsorted(self.labels_N, self.labels_N.unique())
        videos = self.videos_NF3HW
        found = videos[first_C] if isinstance(videos, Tensor) else videos.clips(first_C)
        return found.round().clamp(0, 255).to(torch.uint8)


def _received(path: Path, digest: str, videos: Any, labels: NDArray[np.int64], stored_bytes: int) -> OtherSet:
    """On the CPU: which GPU a process has is not settled while it is given its work."""
    videos_NF3HW = videos if isinstance(videos, StreamedClips) else torch.from_numpy(videos)
    return OtherSet(path, digest, videos_NF3HW, torch.from_numpy(labels), stored_bytes)


def is_other(address: str) -> bool:
    """Whether this names a set of another tool, and no folder of a distilled set."""
    kind, colon, _ = address.partition(":")
    return bool(colon) and not Path(address).exists() and (kind in ("import", "prepared") or kind in sources.KINDS)


def find(address: str, source: PreparedSet, config: DecodeConfig, device: str, progress: Progress) -> OtherSet:
    """A set of another tool.

    Args:
        address: as the head of this module says.
        source: the prepared set that it is to be judged on, with whose classes and frame size it must agree.
        config: how videos are decoded.
        device: "cpu" or "cuda".
        progress: where to report to.

    Raises:
        InputError: there is no such set, it is damaged, or it does not fit.
    """
    kind, _, place = address.partition(":")
    if kind == "import":
        return _of_tensors(place, source, device)
    if kind == "prepared":
        return _of_prepared(Path(place), source, device, progress)
    return _of_videos(address, source, config, device, progress)


def _of_tensors(place: str, source: PreparedSet, device: str) -> OtherSet:
    name, _, values = place.partition("?values=") if not Path(place).exists() else (place, "", "")
    if values and values not in VALUES:
        raise InputError(f"import:{place}: there are no values {values}.", f"There are {', '.join(VALUES)}.")
    path, classes = Path(name), len(source.document.classes)
    videos, labels = _parts(tensor_file.load(path), path)
    document = source.document
    if videos.ndim != 5 or videos.shape[2] != 3 or 0 in videos.shape:
        raise InputError(
            f"{path} holds clips of the shape {tuple(videos.shape)}, and not (N, T, 3, H, W).",
            "Bring their axes into that order.",
        )
    if videos.shape[3:] != (document.clip.height, document.clip.width):
        here, there = (
            "x".join(map(str, shape)) for shape in (videos.shape[3:], (document.clip.height, document.clip.width))
        )
        raise InputError(
            f"{path} has clips of {here} pixels, and {source.folder} of {there}.", "Prepare it at that size."
        )
    labels_N = _labels(labels, len(videos), classes, path)
    if videos.dtype not in _DTYPES:
        raise InputError(f"{path} holds clips of {videos.dtype}.", "Save them as torch.uint8 or torch.float32.")
    if not bool(videos.isfinite().all()):
        raise InputError(f"{path} holds numbers that are not finite.", "Take these clips out, or mend them.")
    order_N = labels_N.argsort(stable=True)
    stored_bytes = videos.numel() * videos.element_size()
    clips_NF3HW = _as_bytes(videos[order_N], values, document, path).to(device)
    named = storage.sha256_bytes(f"{values} {storage.sha256_file(path)}".encode())
    called = Path(place) if values else path  # the same file may be taken in two ways
    return OtherSet(called, named, clips_NF3HW, labels_N[order_N].to(device), stored_bytes)


def _parts(content: Any, path: Path) -> tuple[Tensor, Tensor | None]:
    """Clips and, if there are some, labels."""
    clips, labels = content, None
    if isinstance(content, Mapping):
        clips, labels = (next((content[key] for key in keys if key in content), None) for keys in (_CLIPS, _LABELS))
    elif isinstance(content, list | tuple) and len(content) == 2:
        clips, labels = content
    if not isinstance(clips, Tensor) or not (labels is None or isinstance(labels, Tensor)):
        raise InputError(
            f"{path} holds no clips that can be found.",
            f"Save a tensor, a pair (clips, labels), or a dictionary with {_CLIPS[0]} and {_LABELS[0]}.",
        )
    for tensor in (clips, labels):
        # A tensor can claim to be far larger than what is stored of it, by steps of zero.
        if tensor is not None and (
            tensor.layout != torch.strided or tensor.numel() * tensor.element_size() > path.stat().st_size
        ):
            raise InputError(f"{path} claims to hold more than the file does.", "Save the clips with .contiguous().")
    return clips.detach(), None if labels is None else labels.detach()


def _labels(labels: Tensor | None, count: int, classes: int, path: Path) -> Tensor:
    if labels is None:
        if count % classes:
            raise InputError(
                f"{path} has {count} clips without labels, which is no multiple of the {classes} classes.",
                "Save a pair (clips, labels).",
            )
        return torch.arange(classes).repeat_interleave(count // classes)
    if labels.shape != (count,) or labels.is_floating_point() or labels.is_complex():
        raise InputError(
            f"{path} has labels of {labels.dtype} and the shape {tuple(labels.shape)}, not {count} integers.",
            "Save the number of its class for each clip.",
        )
    labels_N = labels.long()
    if sorted(set(labels_N.tolist())) != list(range(classes)):
        raise InputError(f"{path} has labels that are not each of 0 to {classes - 1}.", "Each class needs a clip.")
    return labels_N


def _as_bytes(videos: Tensor, values: str, document: PreparedDocument, path: Path) -> Tensor:
    """Clips in 0..255, which floats need not be whole in, nor stay within."""
    if videos.dtype == torch.uint8:
        if values not in ("", "bytes"):
            raise InputError(f"{path} holds bytes, so that its values are not {values}.", "Leave ?values= out.")
        return videos
    videos = videos.float()
    if not values:
        if videos.min() < 0 or videos.max() > 1:
            raise InputError(
                f"{path} has values from {videos.min():.3g} to {videos.max():.3g}, and does not say what they are.",
                f"Say so: import:{path}?values=imagenet (normalised by ImageNet's statistics, as the peers' are), "
                "data (by those of the prepared set) or bytes (0 to 255).",
            )
        values = "unit"
    if values == "bytes":
        return videos
    mean, std = {"unit": ((0.0,) * 3, (1.0,) * 3), "imagenet": IMAGENET, "data": (document.mean, document.std)}[values]
    return (videos * torch.tensor(std)[:, None, None] + torch.tensor(mean)[:, None, None]) * 255


def _of_prepared(path: Path, source: PreparedSet, device: str, progress: Progress) -> OtherSet:
    other = PreparedSet.open(path)
    if other.document.classes != source.document.classes:
        raise InputError(f"{path} has other classes than {source.folder}.", "Prepare both from the same classes.")
    ours, theirs = other.document.clip, source.document.clip
    if (ours.height, ours.width) != (theirs.height, theirs.width):
        raise InputError(f"{path} has clips of another size than {source.folder}.", "Prepare both at the same size.")
    _need_apart(other.document.source, {row.id for row in other.rows("train")}, source, f"prepared:{path}")
    videos, labels_N = clips.load(other, "train", device, progress)
    return OtherSet(path, other.document.digest(), videos, labels_N, torch.Size(videos.shape).numel())


def _of_videos(address: str, source: PreparedSet, config: DecodeConfig, device: str, progress: Progress) -> OtherSet:
    """Decoded as `idtd prepare` does it, in processes that a bad file may crash: T frames over all of each video."""
    listed = sources.find(address, source.document.split.fold)
    label_of = _own_labels(listed.classes, source, address)
    videos = sorted(
        (video for video in listed.videos if video.split in (None, "train")),
        key=lambda video: (label_of[video.label], video.id),
    )
    _need_apart(listed.name, {video.id for video in videos}, source, address)
    theirs = source.document.clip
    clip = ClipConfig(
        frames=theirs.frames,
        stored_frames=theirs.frames,
        height=theirs.height,
        width=theirs.width,
        resize=theirs.resize,
        min_frames=1,
    )
    needed = len(videos) * 3 * clip.frames * clip.height * clip.width
    if needed > clips.SHARE * (free := clips.free_bytes(device)):
        raise InputError(
            f"{address} has {len(videos)} videos, which need {size(needed)} of memory; {size(free)} are free.",
            "Prepare it with `idtd prepare`, and name it as prepared:DIR.",
        )
    found, labels = [], []
    job = partial(clip_of, clip=clip, decoder=config.decoder)
    with (
        progress.stage(f"decode {address}", len(videos)) as task,
        closing(engines.run(job, videos, config)) as results,
    ):
        for video, result in zip(videos, results, strict=True):
            if isinstance(result, engine.Rejected):
                progress.note(f"{address}: {video.id} {result.reason}; it is left out.")
            else:
                found.append(torch.from_numpy(result.clip_F3HW))
                labels.append(label_of[video.label])
            task.advance()
    if missing := sorted(set(label_of.values()) - set(labels)):
        raise InputError(
            f"{address} has no training video of the class {source.document.classes[missing[0]]}.",
            "Add one, or evaluate on a set without that class.",
        )
    videos_NF3HW, labels_N = torch.stack(found), torch.tensor(labels)
    named = storage.sha256_bytes(videos_NF3HW.numpy().tobytes() + labels_N.numpy().tobytes())
    path = Path(address.partition(":")[2])
    return OtherSet(path, named, videos_NF3HW.to(device), labels_N.to(device), videos_NF3HW.numel())


def _need_apart(name: str, ids: set[str], source: PreparedSet, address: str) -> None:
    """
    Raises:
        InputError: students would train on videos that they are asked for, or that things are tuned on.
    """
    held = {row.id for split in ("test", "val") for row in source.rows(split)}
    if name == source.document.source and (both := sorted(ids & held)):
        raise InputError(
            f"{address} has {len(both)} videos that {source.folder} holds out of training; the first is {both[0]}.",
            "Give them to test in its lists, or take them out.",
        )


def _own_labels(classes: tuple[str, ...], source: PreparedSet, address: str) -> Mapping[int, int]:
    """Label there → label here, by name; by number where the classes there are called by numbers."""
    own = {name: label for label, name in enumerate(source.document.classes)}
    if not set(classes) <= set(own) and all(name.isdecimal() for name in classes):
        own = {str(label): label for label in own.values()}
    if strange := [name for name in classes if name not in own]:
        raise InputError(
            f"{address} has the class {strange[0]}, which {source.folder} does not have.", "Take its videos out."
        )
    if lacking := [name for name in own if name not in classes]:
        raise InputError(f"{address} has no video of the class {lacking[0]}.", "Each class needs one.")
    return {number: own[name] for number, name in enumerate(classes)}
