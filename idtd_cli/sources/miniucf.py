"""MiniUCF, on which the field compares methods: 50 classes of UCF101 with its official splits."""

from __future__ import annotations

from pathlib import Path

from idtd_cli.sources import lists, ucf101
from idtd_cli.sources.source import Source

NAME = "miniucf"
EXPECTS = """MiniUCF: the 50 classes of it, from UCF101 as `ucf101` expects it.
Never guessed: name it, as in miniucf:/data/UCF-101."""


def fits(path: Path) -> bool:
    """No folder looks like it: a whole UCF101 is meant unless it is named."""
    return False


def read(place: str, fold: int) -> Source:
    """List the videos of MiniUCF.

    Raises:
        InputError: as of `ucf101`.
    """
    classes = lists.lines(Path(__file__).parent / "data" / "miniucf_classes.txt")
    return ucf101.listing(place, fold, NAME, classes)
