"""`idtd prepare`: videos → prepared set."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from idtd_cli import provenance, storage
from idtd_cli.errors import IdtdError, InputError
from idtd_cli.prepared import SPLITS, PreparedDocument, PreparedSet, Writer
from idtd_cli.recipe import ClipConfig, DecodeConfig, PrepareConfig, Recipe, section_digest
from idtd_cli.sources import registry, splits
from idtd_cli.sources.source import Source, Video
from idtd_cli.video import decode, workers

if TYPE_CHECKING:
    from idtd_cli.runlog import Progress


def run(source: str | Path, out: Path, recipe: Recipe, progress: Progress) -> PreparedDocument:
    """Decode every video of a source into a stored clip, split them, and write a prepared set to `out`.

    A video that gives no clip is listed in rejects.csv with its reason, and the rest goes on. A set that is already
    there, from the same source and settings, is left as it is.

    Raises:
        InputError: the source, or `out`, is not fit for it; nothing was written.
        IdtdError: a class lost all its clips of a split, or the disk is full; nothing is left behind.
    """
    config = recipe.prepare
    listed = registry.find(source, config.split.fold)
    if len(listed.classes) < 2:
        raise InputError(f"{source} has one class, {listed.classes[0]}: there is nothing to tell apart.")
    # How fast and within what limits the videos are decoded is no part of what comes out.
    decides = config.model_copy(update={"decode": DecodeConfig(decoder=config.decode.decoder)})
    parents = {"source": listed.digest(), "prepare": section_digest(decides)}
    if (out / PreparedDocument.FILE).is_file():
        return _already(out, parents, progress)
    split = splits.assign(listed, config.split)
    version = decode.version(config.decode.decoder)
    try:
        with storage.new_folder(out) as folder, closing(Writer(folder, config.clip)) as writer:
            _decode_all(split, config, writer, progress)
            return writer.finish(
                source=split.name,
                source_kind=split.kind,
                classes=split.classes,
                split=config.split,
                decoder=config.decode.decoder,
                decoder_version=version,
                recipe_yaml=recipe.to_yaml(),
                parents=parents,
            )
    except OSError as error:
        raise IdtdError(f"{out} could not be written: {error.strerror or error}.") from error


def _already(out: Path, parents: dict[str, str], progress: Progress) -> PreparedDocument:
    document = PreparedSet.open(out).document
    changed = [name for name in parents if document.parents.get(name) != parents[name]]
    if changed:
        what = {"source": "another source, or its files changed", "prepare": "other settings"}
        raise InputError(
            f"{out} holds a prepared set made from {' and '.join(what[name] for name in changed)}.",
            "Name a new folder, or remove this one.",
        )
    progress.note(f"{out} is already prepared from this source with these settings: nothing to do.")
    return document


def _decode(video: Video, clip: ClipConfig, decoder: str) -> decode.Clip:
    return decode.decode(video.medium, clip, decoder=decoder, video_id=video.id, start=video.start, end=video.end)


def _decode_all(source: Source, config: PrepareConfig, writer: Writer, progress: Progress) -> None:
    videos = sorted(source.videos, key=lambda video: (SPLITS.index(str(video.split)), video.label, video.id))
    rejected: list[tuple[Video, str]] = []
    progress.note(f"{source.name}, read as {source.kind}: {len(videos)} videos of {len(source.classes)} classes.")
    results = workers.run(
        partial(_decode, clip=config.clip, decoder=config.decode.decoder),
        videos,
        workers=min(config.decode.workers or provenance.cores(), len(videos)),
        seconds=config.decode.seconds,
        memory_mb=config.decode.memory_mb,
    )
    with progress.stage("decode", len(videos)) as task, closing(results):
        for video, result in zip(videos, results, strict=True):
            if isinstance(result, workers.Rejected):
                rejected.append((video, result.reason))
                writer.reject(video.id, result.reason)
            else:
                writer.add(
                    result.clip_F3HW,
                    id=video.id,
                    label=video.label,
                    split=str(video.split),
                    group=video.group,
                    frames=result.frames,
                    first=result.first,
                    last=result.last,
                )
            task.advance(rejected=len(rejected))
    _need_clips(source, rejected)


def _need_clips(source: Source, rejected: list[tuple[Video, str]]) -> None:
    """A class without train clips cannot be learnt, one without test clips cannot be scored."""
    listed = Counter((video.label, video.split) for video in source.videos)
    lost = Counter((video.label, video.split) for video, _ in rejected)
    for (label, split), n in sorted(lost.items()):
        if split != "val" and n == listed[label, split]:
            video, reason = next((v, r) for v, r in rejected if (v.label, v.split) == (label, split))
            raise IdtdError(
                f"The class {source.classes[label]} has no {split} clip left: all {n} of its videos were rejected; "
                f"the first, {video.id}, {reason}.",
                "Replace these videos, or take the class out.",
            )
