"""Sources of one-byte files: listing opens none of them."""

from __future__ import annotations

from pathlib import Path

from idtd_cli.sources.source import Source


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    return root


def write(root: Path, texts: dict[str, str]) -> Path:
    """Files by their names, with folders as needed."""
    for name, text in texts.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return root


def listing(source: Source) -> list[tuple[str, str, str | None]]:
    return [(video.id, source.classes[video.label], video.split) for video in source.videos]
