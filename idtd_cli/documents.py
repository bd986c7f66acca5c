"""Versioned documents on disk: every folder that idtd writes says in one JSON file what it is and what it came from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import from_json

from idtd_cli import storage
from idtd_cli.errors import InputError
from idtd_cli.version import __version__

#: Counts stay far below, and seeds, too. Of larger numbers some cannot be divided, and some not be written down.
_MOST = 2.0**127
#: The key of a document's own digest, which is over all other keys and values, in their order.
_SEAL = "sha256"


class Document(BaseModel):
    """Base of all documents: frozen, and no unknown keys.

    A subclass names its `KIND`, its `VERSION` (raised when old readers would misread it), its `FILE` name, and the
    `COMMAND` that writes it anew.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    KIND: ClassVar[str]
    VERSION: ClassVar[int] = 1
    FILE: ClassVar[str]
    COMMAND: ClassVar[str]
    #: whether it carries the digest of its own content, as it should where nothing that is made from it would tell
    SEALED: ClassVar[bool] = False

    created_by: str = Field(f"idtd {__version__}", description="the program that wrote it, and its version")
    parents: dict[str, str] = Field(description="sha256 of each thing that this was made from")

    def write(self, folder: Path) -> Path:
        """Write to its file in a folder, in one step; returns the path."""
        path = folder / self.FILE
        content = {"kind": self.KIND, "schema_version": self.VERSION} | self.model_dump(mode="json")
        if self.SEALED:
            content[_SEAL] = _digest(content)
        storage.write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")
        return path

    def digest(self) -> str:
        """sha256 of the content; documents that name this one as a parent carry it."""
        return storage.sha256_bytes(self.model_dump_json().encode())


D = TypeVar("D", bound=Document)


def read(document: type[D], folder: Path) -> D:
    """Read a document of a given kind from a folder.

    Raises:
        InputError: the folder or the file is missing, is of another kind, is damaged, or is of another version.
    """
    path = folder / document.FILE
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder.", f"Make one with `{document.COMMAND}`.")
    if not path.is_file():
        raise InputError(
            f"{folder} is no finished {document.KIND}: it has no {document.FILE}.",
            f"Make one with `{document.COMMAND}`.",
        )
    return read_file(document, path)


def read_file(document: type[D], path: Path) -> D:
    """Read a document from a file of any name.

    Raises:
        InputError: the file is of another kind, is damaged, or is of another version.
    """
    again = f"Write it again with `{document.COMMAND}`."
    try:
        # Stricter than the json module, which takes halves of letters that no file can hold.
        content = from_json(path.read_bytes(), allow_inf_nan=False)
    except ValueError as error:
        raise InputError(f"{path} is not readable as JSON ({error}).", again) from error
    said = content.pop(_SEAL, None) if document.SEALED and isinstance(content, dict) else None
    found = _digest(content) if said else None
    if not isinstance(content, dict) or content.pop("kind", None) != document.KIND:
        raise InputError(f"{path} does not describe a {document.KIND}.", again)
    version = content.pop("schema_version", None)
    if version != document.VERSION:
        raise InputError(f"{path} has schema version {version}; this idtd reads {document.VERSION}.", again)
    if _has_absurd_number(content):
        raise InputError(f"{path} is damaged: it has a number that is beyond all measure.", again)
    if said != found:
        raise InputError(
            f"{path} has changed since it was written: its sha256 is not that of its content.",
            f"Remove it, and write it again with `{document.COMMAND}`.",
        )
    try:
        return document.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        problem = first["msg"].removeprefix("Value error, ")
        raise InputError(f"{path} is damaged{where and f' at {where}'}: {problem}.", again) from error


def _has_absurd_number(value: Any) -> bool:
    """Whether somewhere in a JSON value there is a number that nothing can be counted or drawn with."""
    match value:
        case dict():
            return any(map(_has_absurd_number, value.values()))
        case list():
            return any(map(_has_absurd_number, value))
        case int() | float():
            return abs(value) > _MOST
    return False


def _digest(content: object) -> str:
    return storage.sha256_bytes(json.dumps(content).encode())
