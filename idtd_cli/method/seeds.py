"""Seeds of the random draws of a run: everything in a step follows from the run's seed and the step's number."""

from __future__ import annotations


def of_step(run: int, step: int) -> int:
    """For the views of a step."""
    return run * 2 * 1_000_000_007 + step


def of_turn(run: int, turn: int) -> int:
    """For the network of a turn, and for the real clips that it sees. Numbers stay below a billion."""
    return (run * 2 + 1) * 1_000_000_007 + turn


def of_validation(run: int, student: int) -> int:
    """For a student that validates the videos: those of the last turns, which no run comes to."""
    return of_turn(run, 999_999_999 - student)


def of_expert(number: int) -> int:
    """For an expert: its first weights, and all that is drawn in its training. Students have seeds from 0 on.

    Half-way between those and the numbers of the first turn, in the lower 32 bits: CPU generators look at no others.
    """
    return 500_000_003 + number
