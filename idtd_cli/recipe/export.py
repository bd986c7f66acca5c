"""`export`: what a distilled set is stored as."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from idtd_cli.recipe.section import Section


class ExportConfig(Section):
    """`idtd export`."""

    payload: Literal["video", "tensor"] = Field(
        "video",
        description="what the shards of a set hold its clips as: video: lossless H.264; tensor: safetensors, smaller "
        "where clips are like noise, and faster to open; `--payload` sets it",
    )
    shard_mb: float = Field(
        1000, gt=0, description="megabytes that a shard has at most, if it holds more than one clip; `--shard-size`"
    )
