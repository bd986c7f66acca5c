"""Lists that come with a set: where they lie, and their lines and rows."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from idtd_cli.errors import InputError

#: What to do about a line of an official list that is not as the owner's are.
AS_SHIPPED = "Take the list as the set's owner ships it."


def find(names: tuple[str, ...], folders: tuple[Path, ...], holder: str) -> Path:
    """The first file of one of these names in one of these folders.

    Args:
        names: the names that such a file goes by, the usual one first.
        folders: where it may lie, in the order of preference; the first is where a user is told to put it.
        holder: what the owner of the set ships the file in, for the hint.

    Raises:
        InputError: there is none.
    """
    for folder in folders:
        for name in names:
            if (folder / name).is_file():
                return folder / name
    if not folders[0].is_dir():
        raise InputError(
            f"There is no folder {folders[0]}.",
            "Name the folder that holds the set; `idtd sources` says what it looks like.",
        )
    elsewhere = " or ".join(str(folder) for folder in folders[1:])
    raise InputError(f"{folders[0]} has no {names[0]}, nor has {elsewhere}.", f"{holder} holds it.")


def official(fold: int, kind: str) -> int:
    """A number of one of the three official splits, once it is one.

    Raises:
        InputError: it is not.
    """
    if fold not in (1, 2, 3):
        raise InputError(f"{kind} has no split {fold}.", "Its official splits are 1, 2 and 3: set prepare.split.fold.")
    return fold


def lines(path: Path) -> list[str]:
    """The lines of a text file in UTF-8, without the white space around them.

    Raises:
        InputError: it is not in UTF-8.
    """
    try:
        return [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not a text file in UTF-8.", "Save it in UTF-8.") from error


def entries(path: Path) -> Iterator[tuple[str, str]]:
    """Where it stands, for messages, and the text of each line that is not empty.

    Raises:
        InputError: the file is not in UTF-8.
    """
    for number, line in enumerate(lines(path), start=1):
        if line:
            yield f"{path} line {number}", line


def rows(path: Path, needed: tuple[str, ...], header: str) -> list[dict[str, str]]:
    """The rows of a CSV file whose first line names the columns, without the white space around names and values.

    Args:
        path: the file.
        needed: the columns that it must have.
        header: what the first line may look like, for the hint.

    Raises:
        InputError: it is no CSV in UTF-8, lacks a column, or has no row.
    """
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restval="")
            columns = [column.strip() for column in reader.fieldnames or ()]
            for column in needed:
                if column not in columns:
                    raise InputError(
                        f"{path} has no column {column}; its columns are {', '.join(columns) or 'none'}.",
                        f"Its first line must be {header}.",
                    )
            reader.fieldnames = columns
            found = [{key: value.strip() for key, value in row.items() if isinstance(value, str)} for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            f"{path} is not readable as CSV in UTF-8 ({error}).", "Save it again as CSV in UTF-8."
        ) from error
    if not found:
        raise InputError(f"{path} lists no videos.", "Give it a row for each video.")
    return found
