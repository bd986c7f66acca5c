"""idtd: video dataset distillation (IDTD, arXiv 2412.00111)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from idtd_cli.version import __version__

if TYPE_CHECKING:
    import os

    from idtd_cli.distilled import DistilledSet

__all__ = ["__version__", "load"]


def load(path: str | os.PathLike[str]) -> DistilledSet:
    """Open an exported distilled set: `idtd_cli.load("set").videos_NT3HW`, `.labels_N` and `.document`.

    Raises:
        idtd_cli.errors.InputError: the path holds no finished distilled set, or its files do not match their digests.
    """
    from pathlib import Path

    from idtd_cli.distilled import DistilledSet

    return DistilledSet.open(Path(path))
