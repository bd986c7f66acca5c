"""Seeds of the random draws of a run: everything in a step follows from the run's seed and the step's number."""

from __future__ import annotations


def of_step(run: int, step: int) -> int:
    """For the views of a step."""
    return run * 2 * 1_000_000_007 + step


def of_turn(run: int, turn: int) -> int:
    """For the network of a turn, and for the real clips that it sees. Numbers stay below a billion."""
    return (run * 2 + 1) * 1_000_000_007 + turn
