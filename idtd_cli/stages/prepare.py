"""`idtd prepare`: videos → prepared set."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from idtd_cli import storage
from idtd_cli.engines import engine
from idtd_cli.engines import registry as engines
from idtd_cli.errors import IdtdError, InputError
from idtd_cli.prepared import SPLITS, NoClip, PreparedDocument, PreparedSet, Writer
from idtd_cli.recipe import DecodeConfig, PrepareConfig, Recipe, section_digest
from idtd_cli.sources import registry, splits
from idtd_cli.sources.clip import clip_of
from idtd_cli.sources.source import Source, Video
from idtd_cli.video import decode

if TYPE_CHECKING:
    from idtd_cli.runlog import Progress


def run(source: str | Path, out: Path, recipe: Recipe, progress: Progress) -> PreparedDocument:
    """Decode every video of a source into a stored clip, split them, and write a prepared set to `out`.

    A video that gives no clip is listed in rejects.csv with its reason, and the rest goes on. A set that is already
    there, from the same source and settings, is left as it is; one that was begun is gone on with.

    Raises:
        InputError: the source, or `out`, is not fit for it; nothing was written.
        IdtdError: a class lost all its clips of a split, or the disk is full.
    """
    config = recipe.prepare
    listed = registry.find(source, config.split.fold)
    if len(listed.classes) < 2:
        raise InputError(
            f"{source} has one class, {listed.classes[0]}: there is nothing to tell apart.",
            "Name a source of two classes or more.",
        )
    recipe = without_machine(recipe)
    parents = {"source": listed.digest(), "prepare": section_digest(recipe.prepare)}
    if (out / PreparedDocument.FILE).is_file():
        return _already(out, parents, progress)
    split = splits.take(splits.assign(listed, config.split), config.limit, config.split.seed)
    versions = decode.versions(config.decode.decoder)
    try:
        with (
            storage.resumable_folder(out, progress.note) as unfinished,
            closing(Writer(unfinished, config.clip, parents, versions)) as writer,
        ):
            _decode_all(split, config, writer, progress)
            try:
                _need_clips(split, {done.id: done.reason for done in writer.done if isinstance(done, NoClip)})
            except IdtdError:
                unfinished.discard()  # other videos make it another source: there is nothing to go on with
                raise
            return writer.finish(
                source=split.name,
                source_kind=split.kind,
                classes=split.classes,
                split=config.split,
                limit=config.limit,
                recipe_yaml=recipe.to_yaml(),
                missing=split.missing,
            )
    except OSError as error:
        raise IdtdError(
            f"{out} could not be written: {error.strerror or error}.", "The same command goes on from there."
        ) from error


def without_machine(recipe: Recipe) -> Recipe:
    """The recipe without what is no part of what comes out: where, and by how many processes, videos are decoded."""
    plain = DecodeConfig()
    decode = recipe.prepare.decode.model_copy(update={"engine": plain.engine, "workers": plain.workers})
    return recipe.model_copy(update={"prepare": recipe.prepare.model_copy(update={"decode": decode})})


def _already(out: Path, parents: dict[str, str], progress: Progress) -> PreparedDocument:
    storage.forget(out)
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


def _decode_all(source: Source, config: PrepareConfig, writer: Writer, progress: Progress) -> None:
    videos = sorted(source.videos, key=lambda video: (SPLITS.index(str(video.split)), video.label, video.id))
    progress.note(f"{source.name}, read as {source.kind}: {len(videos)} videos of {len(source.classes)} classes.")
    left = videos[len(writer.done) :]
    rejected = sum(isinstance(done, NoClip) for done in writer.done)
    if writer.done:
        progress.note(f"{len(writer.done)} of them were decoded before: going on.")
    with progress.stage("decode", len(videos)) as task:
        if writer.done:
            task.advance(len(writer.done), rejected=rejected)
        job = partial(clip_of, clip=config.clip, decoder=config.decode.decoder)
        with closing(engines.run(job, left, config.decode)) as results:
            for video, result in zip(left, results, strict=True):
                if not isinstance(result, engine.Rejected):
                    _add(writer, video, result)
                elif video.medium.exists():
                    rejected += 1
                    writer.reject(video.id, result.reason)
                else:
                    raise IdtdError(
                        f"{video.id} was there when {source.name} was listed, and is gone.",
                        "Bring it back and run the command again: it goes on from there.",
                    )
                task.advance(rejected=rejected)


def _add(writer: Writer, video: Video, clip: decode.Clip) -> None:
    writer.add(
        clip.clip_F3HW,
        id=video.id,
        label=video.label,
        split=str(video.split),
        group=video.group,
        frames=clip.frames,
        first=clip.first,
        last=clip.last,
        seconds=clip.seconds,
        width=clip.width,
        height=clip.height,
        decoder=clip.decoder,
    )


def _need_clips(source: Source, rejected: dict[str, str]) -> None:
    """A class without train clips cannot be learnt, one without test clips cannot be scored."""
    listed = Counter((video.label, video.split) for video in source.videos)
    lost = Counter((video.label, video.split) for video in source.videos if video.id in rejected)
    for (label, split), n in sorted(lost.items()):
        if split != "val" and n == listed[label, split]:
            first = next(v.id for v in source.videos if v.id in rejected and (v.label, v.split) == (label, split))
            raise IdtdError(
                f"The class {source.classes[label]} has no {split} clip left: all {n} of its videos were rejected; "
                f"the first, {first}, {rejected[first]}.",
                "Replace these videos, or take the class out.",
            )
