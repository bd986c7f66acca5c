"""The set itself: its clips in WebDataset shards, as they are, with their classes and soft labels.

A clip is three members that follow one another: KEY.cls, its class as an index; KEY.json, what else is known of it;
KEY.mp4, its frames in lossless H.264, or KEY.safetensors, its frames as numbers. A reader knows from set.json which
members there must be, in which order and how large they may be, and takes no others.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
import webdataset
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from idtd_cli.distilled.document import AGAIN, SetDocument
from idtd_cli.errors import IdtdError, InputError
from idtd_cli.video import decode, encode, tar

#: What a clip's frames are called → the ending of their member.
ENDINGS = {"video": "mp4", "tensor": "safetensors"}
_BLOCK, _RECORD = 512, 10240  #: bytes that a tar's members, and a tar, are padded to
_LEAST = 3 * 2 * _BLOCK  #: bytes that the members of a clip take at least


def names(document: SetDocument) -> list[str]:
    """The shards of a set, relative to its folder, in order."""
    return [f"data/train-{number:06d}-of-{document.shards:06d}.tar" for number in range(document.shards)]


def write(
    folder: Path, document: SetDocument, videos_NT3HW: Tensor, logits_NKC: Tensor | None, done: Callable[[], None]
) -> SetDocument:
    """Write the shards of a set; the same clips give the same bytes. Returns the document, with their number
    and size.

    Raises:
        IdtdError: ffmpeg failed.
    """
    limit = document.export.shard_mb * 1_000_000 - _RECORD  # what a tar ends in
    written: list[Path] = []
    room, payload = 0.0, 0
    with ExitStack() as open_shard:
        for number, video_T3HW in enumerate(videos_NT3HW):
            logits_KC = None if logits_NKC is None else logits_NKC[number]
            members = _members(folder, document, number, video_T3HW, logits_KC)
            size = sum(_BLOCK - (-len(data) // _BLOCK) * _BLOCK for data in members.values())
            if not written or size > room:
                open_shard.close()
                written.append(folder / "data" / f"{len(written)}.partial")
                written[-1].parent.mkdir(exist_ok=True)
                file = open_shard.enter_context(open(written[-1], "wb"))
                # Fixed times and owners: the same members give the same bytes. TarWriter sorts them.
                writer = webdataset.TarWriter(file, mtime=0, user="", group="", mode=0o644, encoder=False)
                shard = open_shard.enter_context(writer)
                room = limit
            shard.write({"__key__": document.key(number)} | members)
            room -= size
            payload += len(members[ENDINGS[document.export.payload]])
            done()
    document = document.model_copy(update={"shards": len(written), "payload_bytes": payload})
    for path, name in zip(written, names(document), strict=True):
        path.rename(folder / name)
    return document


def read(folder: Path, document: SetDocument) -> tuple[Tensor, Tensor | None]:
    """The clips of a set, (N, T, 3, H, W) uint8, and its soft labels, (N, K, C) float32, if it has some.

    Memory is bounded by what set.json says, member by member.

    Raises:
        InputError: a shard is missing or damaged, or does not hold what set.json says.
    """
    videos: Tensor | None = None
    logits = []
    for number, (shard, members) in enumerate(samples(folder, document)):
        try:
            video_T3HW, logits_KC = _sample(document, number, members)
        except (ValueError, TypeError, LookupError, OverflowError, RecursionError, IdtdError, SafetensorError) as error:
            raise InputError(f"{shard} is damaged at {document.key(number)} ({error}).", AGAIN) from error
        if videos is None:  # once it is known that there are clips of the size that set.json says
            videos = _room(folder, document)
        videos[number] = video_T3HW
        logits.append(logits_KC)
    if videos is None or len(logits) < document.count:
        raise _differs(folder / names(document)[-1])
    return videos, None if document.temperature is None else torch.stack(logits)  # type: ignore[arg-type]


def _room(folder: Path, document: SetDocument) -> Tensor:
    """Memory for all clips, as many as the shards can hold."""
    clip = document.clip
    if sum((folder / name).stat().st_size for name in names(document)) < document.count * _LEAST:
        raise _differs(folder / names(document)[-1])
    try:
        return torch.empty((document.count, document.frames, 3, clip.height, clip.width), dtype=torch.uint8)
    except RuntimeError as error:
        needed = document.count * document.frames * 3 * clip.height * clip.width / 1e9
        raise InputError(
            f"The clips of {folder} need {needed:.0f} GB of memory, and there is less.",
            "Free some, or take a machine with more.",
        ) from error


def _members(
    folder: Path, document: SetDocument, number: int, video_T3HW: Tensor, logits_KC: Tensor | None
) -> dict[str, bytes]:
    label = number // document.videos_a_class
    facts: dict[str, Any] = {"class": document.classes[label], "label": label, "segments": document.segments}
    if logits_KC is not None:  # a row a segment
        facts |= {"logits": logits_KC.tolist(), "temperature": document.temperature}
    if document.export.payload == "tensor":
        payload = save({"video_T3HW": video_T3HW.contiguous()})
    else:
        file = folder / "lossless.mp4"
        encode.write_lossless(file, video_T3HW.permute(0, 2, 3, 1).contiguous().numpy(), document.fps)
        payload = file.read_bytes()
        file.unlink()
    return {
        "cls": str(label).encode(),
        "json": json.dumps(facts, sort_keys=True).encode(),
        ENDINGS[document.export.payload]: payload,
    }


def need_all(folder: Path, document: SetDocument) -> None:
    """
    Raises:
        InputError: there are other shards than set.json says, which other readers would take for a part of the set.
    """
    there = {f"data/{path.name}" for path in (folder / "data").glob("*.tar")}
    if len(there) != document.shards or there != {*names(document)}:
        raise InputError(
            f"{folder / 'data'} holds {len(there)} shards, and not the {document.shards} that set.json says.",
            AGAIN,
        )


def is_shard(name: str) -> bool:
    """Whether a file of a set, by its name, is a shard."""
    return name.startswith("data/") and name.endswith(".tar")


def samples(folder: Path, document: SetDocument) -> Iterator[tuple[Path, dict[str, bytes]]]:
    """The members of each clip, by ending, and the shard that they lie in; nothing of them is decoded.

    Raises:
        InputError: a shard is no tar, or has not the members that set.json says, in their order and size.
    """
    clip, payload = document.clip, ENDINGS[document.export.payload]
    most = {
        "cls": 100,
        "json": 10_000
        + 12 * max(map(len, document.classes), default=0)
        + 40 * document.segments * len(document.classes),
        # Noise takes a little more in H.264 than as it is.
        payload: 2 * document.frames * 3 * clip.height * clip.width + 100_000,
    }
    need_all(folder, document)
    number, members = 0, dict[str, bytes]()
    for path in (folder / name for name in names(document)):
        try:
            file = tar.File(path)
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror}.", AGAIN) from error
        with file, open(path, "rb") as data:
            for entry in tar.entries(file, path, plain_alone=True):
                ending = list(most)[len(members)]
                if number == document.count or entry.name != f"{document.key(number)}.{ending}":
                    raise _differs(path)
                if entry.offset + entry.bytes > path.stat().st_size:  # nobody has room for what a header claims
                    raise InputError(f"{path} is cut off at {entry.name}.", AGAIN)
                if entry.bytes > most[ending]:
                    raise InputError(
                        f"{path} has {entry.name} of {entry.bytes} bytes, more than a clip can take.",
                        AGAIN,
                    )
                data.seek(entry.offset)
                members[ending] = data.read(entry.bytes)
                if len(members) == len(most):
                    yield path, members
                    number, members = number + 1, {}
            if members:  # other readers take each shard by itself
                raise _differs(path)


def _sample(document: SetDocument, number: int, members: dict[str, bytes]) -> tuple[Tensor, Tensor | None]:
    """A clip and its logits.

    Raises:
        ValueError: they are not what set.json says; and others, if they are not readable at all.
    """
    clip = document.clip
    shape = (document.frames, 3, clip.height, clip.width)
    if document.export.payload == "tensor":
        video_T3HW = load(members["safetensors"]).get("video_T3HW", torch.empty(0))
    else:
        frames_THW3 = decode.read_exact(members["mp4"], max_bytes=document.frames * 3 * clip.height * clip.width)
        video_T3HW = torch.from_numpy(frames_THW3).permute(0, 3, 1, 2)
    if video_T3HW.dtype != torch.uint8 or video_T3HW.shape != shape:
        raise ValueError("it is no clip of the size in set.json")

    facts = json.loads(members["json"])
    label = number // document.videos_a_class
    if members["cls"] != str(label).encode() or not isinstance(facts, dict) or facts.get("label") != label:
        raise ValueError("it is of another class than set.json says")
    if ("logits" in facts) != (document.temperature is not None):
        raise ValueError("set.json says otherwise whether there are soft labels")
    if document.temperature is None:
        return video_T3HW, None
    logits_KC = torch.tensor(facts["logits"], dtype=torch.float32)
    if logits_KC.shape != (document.segments, len(document.classes)) or not logits_KC.isfinite().all():
        raise ValueError("its soft labels are not a finite number for each segment and class")
    return video_T3HW, logits_KC


def _differs(path: Path) -> InputError:
    return InputError(f"{path} does not hold what {SetDocument.FILE} says.", AGAIN)
