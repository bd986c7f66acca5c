"""What a recipe will take on this machine: figures, and the same as text."""

from __future__ import annotations

from dataclasses import dataclass

from idtd_cli.report.summary import size
from idtd_cli.runlog import duration


@dataclass(frozen=True)
class Plan:
    """Expected of a run of `idtd distill`, and of `idtd evaluate` of its set alone.

    Attributes:
        hardware: what it was measured on.
        method: of the recipe.
        steps: of the run.
        start_seconds: what the run takes beside its steps: reading the clips, what the videos start from, the result.
        step_seconds: a step, once the first ones are taken.
        distil_seconds: all of it, without the validation.
        validation_seconds: all scores on the validation split.
        students: trained on the set, on random real clips and on all training clips.
        evaluation_seconds: all of them.
        memory_bytes: of the host, at most, for the whole process.
        device_memory_bytes: of the GPU, at most, for tensors; None without one.
        run_bytes: of the run folder on disk.
        stored_bytes: of what a set of the result stores.
    """

    hardware: str
    method: str
    steps: int
    start_seconds: float
    step_seconds: float
    distil_seconds: float
    validation_seconds: float
    students: tuple[int, int, int]
    evaluation_seconds: float
    memory_bytes: int
    device_memory_bytes: int | None
    run_bytes: int
    stored_bytes: int


def text(plan: Plan) -> str:
    """A line for each thing, and the machine that it was measured on."""
    step = f"{plan.step_seconds:.2g} s"
    rows = [
        ("distil", duration(plan.distil_seconds), f"{plan.method}, {plan.steps} steps of {step}"),
        ("validation", duration(plan.validation_seconds), "students while it runs"),
        ("evaluate", duration(plan.evaluation_seconds), "students on the set, on random clips, on all: {} + {} + {}"),
        ("memory", size(plan.memory_bytes), "of the host, at most"),
        ("GPU memory", size(plan.device_memory_bytes or 0), "for tensors, at most"),
        ("run folder", size(plan.run_bytes), "on disk"),
        ("set", size(plan.stored_bytes), "stored, uncompressed"),
    ]
    absent = {"validation"} if not plan.validation_seconds else set()
    absent |= {"GPU memory"} if plan.device_memory_bytes is None else set()
    lines = [
        f"{name:<10}  {amount:>8}  {about.format(*plan.students)}" for name, amount, about in rows if name not in absent
    ]
    return "\n".join([f"Expected on {plan.hardware}:", "", *lines])
