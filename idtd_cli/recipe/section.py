"""What every section of a recipe is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from idtd_cli import storage

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Whole = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    """Base of all sections: frozen, no unknown keys, no NaN."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    #: Keys that say how a machine goes about it, as the device does: of a result, they change the rounding at most.
    MACHINE: ClassVar[frozenset[str]] = frozenset()


def flat(section: Section) -> dict[str, Any]:
    """Every key of a section, dotted, with its value."""
    return dict(_dotted(section.model_dump(mode="json")))


def deciding(section: Section) -> dict[str, Any]:
    """As `flat`, without the keys that are the machine's."""
    return dict(_dotted(section.model_dump(mode="json", exclude=_of_the_machine(section))))


def _dotted(content: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in content.items():
        if isinstance(value, dict):
            yield from _dotted(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def section_digest(section: Section) -> str:
    """sha256 over every key and value of a section: equal settings, equal digest, however they were written.

    Left out are those that are the machine's.
    """
    return storage.sha256_bytes(section.model_dump_json(exclude=_of_the_machine(section)).encode())


def _of_the_machine(section: Section) -> dict[str, Any]:
    inner = {name: _of_the_machine(value) for name, value in section if isinstance(value, Section)}
    return {name: keys for name, keys in inner.items() if keys} | dict.fromkeys(section.MACHINE, True)
