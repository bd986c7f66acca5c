"""The kinds of source, and which of them a place is."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Protocol

from idtd_cli.errors import InputError
from idtd_cli.sources import csv_list, folder, frames, hmdb51, hub, kinetics, miniucf, ssv2, ucf101, webdataset
from idtd_cli.sources.source import Source


class Kind(Protocol):
    """A module that lists the videos of one kind of source."""

    NAME: str  #: `NAME:PLACE` on the command line
    EXPECTS: str  #: what lies there, for `idtd sources`; the first line says it in short

    def fits(self, path: Path) -> bool:
        """Whether a path that was given without a kind looks like one of this kind. Cheap; never raises."""

    def read(self, place: str, fold: int) -> Source:
        """List the videos at a place, a path for most kinds.

        Args:
            place: what follows `NAME:`.
            fold: which of the official splits, from 1 on, where the kind has several.

        Raises:
            InputError: there is no such place, or what is there does not hold together.
        """


#: In the order in which they are tried on a path without a kind: the most particular first.
KINDS: dict[str, Kind] = {
    kind.NAME: kind for kind in (ucf101, miniucf, hmdb51, kinetics, ssv2, csv_list, webdataset, frames, folder, hub)
}


def find(address: str | Path, fold: int = 1) -> Source:
    """List the videos of a source.

    Args:
        address: `KIND:PLACE`, or a path, whose kind is guessed.
        fold: which of the official splits, from 1 on, where the kind has several.

    Raises:
        InputError: there is nothing there, no kind fits it, or it does not hold together.
    """
    name, place = _split(str(address))
    name = name or _guess(Path(place))
    try:
        return KINDS[name].read(place, fold)
    except OSError as error:
        raise InputError(
            f"{error.filename or place} cannot be read: {error.strerror}.",
            "Mend that, or copy the videos to a place where it can be.",
        ) from error


def _split(address: str) -> tuple[str | None, str]:
    """The kind, if one is named, and the place. A path that exists is a path, whatever colons its name has."""
    name, colon, place = address.partition(":")
    if not colon or Path(address).exists():
        return None, address
    if name in KINDS:
        return name, place
    near = difflib.get_close_matches(name, KINDS, n=1)
    if near:
        raise InputError(f"There is no kind of source {name}.", f"Did you mean {near[0]}:{place}?")
    return None, address


def _guess(path: Path) -> str:
    hint = "`idtd sources` lists the kinds of source and what each expects."
    if not path.exists():
        raise InputError(f"There is no {path}.", hint)
    for name, kind in KINDS.items():
        if kind.fits(path):
            return name
    raise InputError(f"{path} is no source of videos.", hint)
