"""What a command left behind for the one who called it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Done:
    code: object
    out: str
    err: str
