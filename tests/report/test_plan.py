from __future__ import annotations

from dataclasses import replace

from idtd_cli.report.plan import Plan, text

PLAN = Plan(
    hardware="a machine",
    method="idtd",
    steps=150,
    start_seconds=3.0,
    step_seconds=0.1234,
    distil_seconds=21.5,
    validation_seconds=0.0,
    students=(5, 5, 2),
    evaluation_seconds=9000.0,
    memory_bytes=700_000_000,
    device_memory_bytes=None,
    run_bytes=9_900_000,
    stored_bytes=393_216,
)


def test_a_plan_is_a_line_for_each_thing() -> None:
    assert text(PLAN).splitlines() == [
        "Expected on a machine:",
        "",
        "distil          22 s  idtd, 150 steps of 0.12 s",
        "evaluate       2.5 h  students on the set, on random clips, on all: 5 + 5 + 2",
        "memory        700 MB  of the host, at most",
        "run folder    9.9 MB  on disk",
        "set           393 KB  stored, uncompressed",
    ]


def test_what_there_is_only_at_times_is_told_then() -> None:
    told = text(replace(PLAN, validation_seconds=240.0, device_memory_bytes=2_500_000_000))
    assert "validation     4 min  students while it runs\n" in told
    assert "GPU memory    2.5 GB  for tensors, at most\n" in told
