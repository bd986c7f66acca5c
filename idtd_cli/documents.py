"""Versioned documents on disk: every folder that idtd writes says in one JSON file what it is and what it came from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from idtd_cli import storage
from idtd_cli.errors import InputError
from idtd_cli.version import __version__


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

    created_by: str = Field(f"idtd {__version__}", description="the program that wrote it, and its version")
    parents: dict[str, str] = Field(description="sha256 of each thing that this was made from")

    def write(self, folder: Path) -> Path:
        """Write to its file in a folder, in one step; returns the path."""
        path = folder / self.FILE
        head = {"kind": self.KIND, "schema_version": self.VERSION}
        storage.write_text(path, json.dumps(head | self.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n")
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
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not readable as JSON ({error}).", again) from error
    if not isinstance(content, dict) or content.pop("kind", None) != document.KIND:
        raise InputError(f"{path} does not describe a {document.KIND}.", again)
    version = content.pop("schema_version", None)
    if version != document.VERSION:
        raise InputError(f"{path} has schema version {version}; this idtd reads {document.VERSION}.", again)
    try:
        return document.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise InputError(f"{path} is damaged at {where}: {first['msg']}.", again) from error
