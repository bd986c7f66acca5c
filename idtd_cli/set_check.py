"""Whether a folder holds, byte for byte and clip for clip, the distilled set that its document promises.

What is checked may come from anybody: nothing is unpacked, and nothing is read beyond the size that set.json gives it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from idtd_cli import storage
from idtd_cli.distilled import SUMS, DistilledSet, SetDocument, read_sums, shards, strange, viewable
from idtd_cli.errors import IdtdError
from idtd_cli.runlog import Progress
from idtd_cli.video import decode

#: Folders that other programs put beside a set.
_FOREIGN = (".git", ".cache")


@dataclass
class Findings:
    """What was looked at, in words, and what is wrong with it."""

    checked: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def listed(self) -> str:
        """All problems, a line each."""
        return "".join(f"\n  - {problem}" for problem in self.problems)


def check(folder: Path, document: SetDocument, progress: Progress, beside: Collection[str] = ()) -> Findings:
    """Look at all of a set: its checksums, what is not listed, its clips and the videos for people.

    Args:
        folder: the set; `document` is its set.json.
        document: what it promises.
        progress: where to report to.
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
        opened = DistilledSet.open(folder)  # each clip is decoded, and has the class and labels that it should
    except IdtdError as error:
        findings.problems.append(error.message)
        return findings
    names = shards.names(document)
    findings.checked.append(
        f"{SetDocument.FILE} promises {document.videos_a_class} videos a class of {len(document.classes)}, and "
        f"{len(names)} shard{'s hold' if len(names) > 1 else ' holds'} these {document.count}, in order"
        + (", with their soft labels" if opened.logits_NKC is not None else "")
    )
    videos = viewable.names(document)
    with progress.stage("videos", len(videos)) as bar:
        for name in videos:
            findings.problems += _viewable(folder / name, name, document)
            bar.advance()
    findings.checked.append(f"{len(videos)} videos to look at play to their end")
    return findings


def _files(folder: Path, sums: Mapping[str, str], beside: Collection[str]) -> Iterator[str]:
    if not sums:
        yield f"there is no {SUMS}"
        return
    if SetDocument.FILE not in sums:
        yield f"{SUMS} does not list {SetDocument.FILE}"
    for name in strange(sums):
        yield f"{name} is no file that a distilled set has"
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


def _viewable(path: Path, name: str, document: SetDocument) -> Iterator[str]:
    try:
        frames = len(decode.read_exact(path))  # larger than a clip: small ones are shown enlarged
    except IdtdError as error:
        yield f"{name} does not play: {error.message}"
        return
    if frames != document.frames:
        yield f"{name} has {frames} frames, not {document.frames}"
