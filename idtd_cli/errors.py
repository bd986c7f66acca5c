"""The errors that a user may see: one sentence each, a hint of what to do next, and the exit code."""

from __future__ import annotations

#: What shells give a program that Ctrl-C ended: 128 and the number of the signal.
STOPPED = 130


class IdtdError(Exception):
    """A run that failed for a reason we can name. `message` says what and where, `hint` what to do next."""

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class InputError(IdtdError):
    """Wrong usage or wrong input: nothing was started that could fail later."""

    exit_code = 2
