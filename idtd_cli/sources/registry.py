"""Which kind of source a path is."""

from __future__ import annotations

from pathlib import Path

from idtd_cli.errors import InputError
from idtd_cli.sources import csv_list, folder
from idtd_cli.sources.source import Source

#: Each kind says whether a path fits it, and reads it. A new kind is a module with `fits` and `read`, named here.
KINDS = (folder, csv_list)


def find(path: Path) -> Source:
    """List the videos of a source: a folder of class folders, or a CSV file.

    Raises:
        InputError: there is nothing at `path`, no kind fits it, or it does not hold together.
    """
    if not path.exists():
        raise InputError(f"There is no {path}.", "Give a folder of class folders, or a CSV file.")
    for kind in KINDS:
        if kind.fits(path):
            try:
                source: Source = kind.read(path)
            except OSError as error:
                raise InputError(f"{error.filename or path} cannot be read: {error.strerror}.") from error
            return source
    raise InputError(f"{path} is no source of videos.", "Give a folder of class folders, or a CSV file.")
