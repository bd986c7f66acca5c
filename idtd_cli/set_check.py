"""Whether a folder holds, byte for byte and clip for clip, the distilled set that its document promises.

What is checked may come from anybody. Shards are read as uncompressed tars, member by member, never unpacked; a member
that is no plain file of a known kind is named, not opened; nothing is decoded beyond the size of a clip of the set.
"""

from __future__ import annotations

import json
import tarfile
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from idtd_cli import storage
from idtd_cli.distilled import CLIPS, SUMS, DistilledSet, SetDocument, read_sums
from idtd_cli.errors import IdtdError
from idtd_cli.runlog import Progress, Task
from idtd_cli.video import decode

#: What a sample of a shard may consist of. WebDataset would decode others on its own, some by unpickling them.
KINDS = frozenset(("mp4", "json", "cls", "safetensors"))
#: Folders that other programs put beside a set.
_FOREIGN = (".git", ".cache")
_MAX_TEXT = 16 << 20
_SHOWN = 5


@dataclass
class Findings:
    """What was looked at, in words, and what is wrong with it."""

    checked: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def listed(self) -> str:
        """All problems, a line each."""
        return "".join(f"\n  - {problem}" for problem in self.problems)


@dataclass
class _Sample:
    """The members of a shard that share a key: kind → bytes."""

    key: str
    parts: dict[str, bytes]


def check(folder: Path, document: SetDocument, progress: Progress, beside: Collection[str] = ()) -> Findings:
    """Look at all of a set: its checksums, what is not listed, its clips and every video.

    Args:
        folder: the set; `document` is its set.json.
        beside: files that may lie there without being listed.
    """
    findings = Findings()
    sums = read_sums(folder)
    with progress.stage("checksums", len(sums)) as bar:
        for problem in _files(folder, sums, beside):
            findings.problems.append(problem)
        bar.advance(len(sums))
    if findings.problems:
        return findings  # what is damaged is not opened
    findings.checked.append(f"{len(sums)} files match {SUMS}, and there are no others")
    try:
        opened = DistilledSet.open(folder)
    except IdtdError as error:
        findings.problems.append(error.message)
        return findings
    count = len(opened.labels_N)
    findings.checked.append(
        f"{SetDocument.FILE} promises {document.videos_a_class} videos a class of {len(document.classes)}, and "
        f"{CLIPS} holds these {count}" + (" with their soft labels" if opened.logits_NKC is not None else "")
    )
    shards = [name for name in sums if is_shard(name)]
    videos = [name for name in sums if name.startswith("videos/") and name.endswith(".mp4")]
    with progress.stage("videos", count + len(videos)) as bar:
        found = Counter[int]()
        for name in shards:
            for problem in shard_problems(folder / name, count):
                findings.problems.append(f"{name}: {problem}")
            if not findings.problems:
                findings.problems += _samples(folder / name, opened, found, bar)
        if not findings.problems:
            findings.problems += _counts(found, count)
        for name in videos:
            findings.problems += _viewable(folder / name, name, document)
            bar.advance()
    findings.checked.append(
        f"{sum(found.values())} clips in {len(shards)} shard{'s' * (len(shards) != 1)} decode to the same pixels and "
        f"labels; {len(videos)} videos to look at play to their end"
    )
    return findings


def is_shard(name: str) -> bool:
    """Whether a file of a set is one of its WebDataset shards."""
    return name.startswith("data/") and name.endswith(".tar")


def shard_problems(path: Path, most_samples: int) -> Iterator[str]:
    """What is wrong with a shard as a tar, without decoding anything of it."""
    seen, keys, told = set[str](), set[str](), 0
    try:
        with tarfile.open(path, "r:") as tar:
            while (member := tar.next()) is not None:
                tar.members = []  # type: ignore[attr-defined]  # or it would keep all of them
                key, dot, kind = member.name.partition(".")
                if not member.isreg() or member.issparse():
                    problem = "is no plain file"
                elif not dot or not key or set(key) & set("/\\") or not member.name.isprintable():
                    problem = "is no name of a sample"
                elif kind not in KINDS:
                    problem = f"is none of {', '.join(sorted(KINDS))}"
                elif member.name in seen:
                    problem = "is there twice"
                else:
                    seen.add(member.name)
                    keys.add(key)
                    if len(keys) > most_samples:
                        yield f"holds more than the {most_samples} videos of the set"
                        return
                    continue
                yield f"{member.name[:100]!r} {problem}"
                told += 1
                if told == _SHOWN:
                    return
    except (tarfile.TarError, OSError, ValueError) as error:
        yield f"is no uncompressed tar ({error})"


def _files(folder: Path, sums: Mapping[str, str], beside: Collection[str]) -> Iterator[str]:
    if not sums:
        yield f"there is no {SUMS}"
        return
    if SetDocument.FILE not in sums:
        yield f"{SUMS} does not list {SetDocument.FILE}"
    for name, digest in sums.items():
        path = folder / name
        if not path.is_file():
            yield f"{name} is missing"
        elif storage.sha256_file(path) != digest:
            yield f"{name} does not match its checksum"
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if name.partition("/")[0] in _FOREIGN or (path.is_dir() and not path.is_symlink()):
            continue
        if name not in sums and name != SUMS and name not in beside:
            yield f"{name} is not listed in {SUMS}"


def _read(path: Path, most_bytes: int) -> Iterator[_Sample]:
    """The samples of a shard whose members are known to be plain."""
    sample: _Sample | None = None
    with tarfile.open(path, "r:") as tar:
        while (member := tar.next()) is not None:
            tar.members = []  # type: ignore[attr-defined]
            key, _, kind = member.name.partition(".")
            if sample is None or sample.key != key:
                if sample:
                    yield sample
                sample = _Sample(key, {})
            file = tar.extractfile(member)
            limit = most_bytes if kind in ("mp4", "safetensors") else _MAX_TEXT
            sample.parts[kind] = file.read(limit + 1) if file else b""
            if len(sample.parts[kind]) > limit:
                raise IdtdError(f"{member.name} is larger than a clip of this set can be.")
    if sample:
        yield sample


def _samples(path: Path, opened: DistilledSet, found: Counter[int], bar: Task) -> list[str]:
    """Compare each sample with the clip that it is; `found` counts the clips that were met."""
    name = path.relative_to(opened.path).as_posix()
    problems: list[str] = []
    raw = opened.videos_NT3HW[0].numel()
    try:
        for sample in _read(path, 2 * raw + _MAX_TEXT):
            problem = _sample(sample, opened, found)
            bar.advance()
            if problem:
                problems.append(f"{name}: {sample.key} {problem}")
    except (IdtdError, tarfile.TarError, OSError) as error:
        problems.append(f"{name}: {error}")
    return problems[:_SHOWN]


def _sample(sample: _Sample, opened: DistilledSet, found: Counter[int]) -> str | None:
    document, (count, frames) = opened.document, opened.videos_NT3HW.shape[:2]
    try:
        label = int(sample.parts["cls"])
        facts = json.loads(sample.parts["json"])
        clip_T3HW = _clip(sample, opened)
    except (KeyError, ValueError, RecursionError) as error:
        return f"is damaged ({type(error).__name__}: {str(error)[:100]})"
    except IdtdError as error:
        return f"does not decode: {error.message}"
    if not isinstance(facts, dict) or facts.get("label") != label or not 0 <= label < len(document.classes):
        return f"does not say which class it is of ({label})"
    if facts.get("class") != document.classes[label]:
        return f"is of class {label} and says that it is called {str(facts.get('class'))[:100]!r}"
    if clip_T3HW is None or clip_T3HW.shape != opened.videos_NT3HW.shape[1:]:
        return f"is no clip of {frames} frames of {document.clip.height}x{document.clip.width}"
    for number in range(label * document.videos_a_class, (label + 1) * document.videos_a_class):
        if found[number] == 0 and torch.equal(clip_T3HW, opened.videos_NT3HW[number]):
            if opened.logits_NKC is not None and not _same_logits(facts.get("logits"), opened.logits_NKC[number]):
                return f"has other soft labels than {CLIPS}"
            found[number] += 1
            return None
    return f"is none of the {count} clips in {CLIPS}"


def _clip(sample: _Sample, opened: DistilledSet) -> Tensor | None:
    """A sample's frames (T, 3, H, W), from its video or from its tensors."""
    if "mp4" in sample.parts:
        frames_THW3 = decode.read_exact(sample.parts["mp4"], opened.videos_NT3HW[0].numel())
        return torch.from_numpy(frames_THW3).permute(0, 3, 1, 2)
    try:
        tensors = load(sample.parts["safetensors"])
    except SafetensorError as error:
        raise ValueError(str(error)) from error
    return next((t for t in tensors.values() if t.dtype == torch.uint8 and t.ndim == 4), None)


def _same_logits(said: object, logits_KC: Tensor) -> bool:
    try:
        return torch.equal(torch.tensor(said, dtype=torch.float32), logits_KC)
    except (TypeError, ValueError, RuntimeError):
        return False


def _counts(found: Counter[int], count: int) -> Iterator[str]:
    met = sum(found.values())
    if met != count:
        yield f"the shards hold {met} of the {count} clips in {CLIPS}"


def _viewable(path: Path, name: str, document: SetDocument) -> Iterator[str]:
    try:
        frames = len(decode.read_exact(path))  # larger than a clip: small ones are shown enlarged
    except IdtdError as error:
        yield f"{name} does not play: {error.message}"
        return
    if frames != document.clip.frames:
        yield f"{name} has {frames} frames, not {document.clip.frames}"
