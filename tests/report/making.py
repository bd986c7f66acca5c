"""A report with figures that tests can count on."""

from __future__ import annotations

from typing import Any

from idtd_cli.recipe import EvaluateConfig
from idtd_cli.report.document import ReportDocument, Result, Spread


def result(method: str, ipc: int | None, values: list[float], **changes: Any) -> Result:
    facts: dict[str, Any] = {
        "set": None if method in {"random", "full"} else method,
        "student": "convnet3d",
        "frames": 16,
        "segments": 4,
        "interval": (min(values) - 0.05, max(values) + 0.05),
        "top5": None,
        "confusion": ((30, 10), (20, 20)),
        "stored_bytes": 1500,
        "stored_frames": 16 * (ipc or 100),
        "stored_parameters": 0,
        "seconds": 1.0,
    }
    return Result(method=method, ipc=ipc, top1=Spread.of(values), **facts | changes)


def report(*results: Result, **changes: Any) -> ReportDocument:
    count = len(changes.get("classes", ("left", "right")))
    seen = {} if count == 2 else {"confusion": ((1,) * count,) * count}
    facts: dict[str, Any] = {
        "parents": {"prepared": "0123", "evaluate": "4567"},
        "source": "bars",
        "classes": ("left", "right"),
        "chance": 0.5,
        "scored_split": "test",
        "scored_videos": 40,
        "protocol": EvaluateConfig(),
        "results": results
        or (
            result("full", None, [0.9], **seen),
            result("idtd", 1, [0.5, 0.7], **seen),
            result("random", 1, [0.3, 0.3], **seen),
        ),
        "differences": (),
        "hardware": "a machine",
        "versions": {"python": "3", "torch": "2"},
    }
    return ReportDocument(**facts | changes)
