"""What every section of a recipe is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from idtd_cli import storage

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Whole = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    """Base of all sections: frozen, no unknown keys, no NaN."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def flat(section: Section) -> dict[str, Any]:
    """Every key of a section, dotted, with its value."""

    def walk(content: dict[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
        for key, value in content.items():
            if isinstance(value, dict):
                yield from walk(value, f"{prefix}{key}.")
            else:
                yield prefix + key, value

    return dict(walk(section.model_dump(mode="json"), ""))


def section_digest(section: Section) -> str:
    """sha256 over every key and value of a section: equal settings, equal digest, however they were written."""
    return storage.sha256_bytes(section.model_dump_json().encode())
