from __future__ import annotations

from typing import get_args

from idtd_cli.engines import registry
from idtd_cli.engines.engine import Rejected
from idtd_cli.recipe import DecodeConfig


def test_a_recipe_can_name_each_engine_and_no_other() -> None:
    assert set(registry.ENGINES) == set(get_args(DecodeConfig.model_fields["engine"].annotation))


def test_a_recipe_sets_the_limits() -> None:
    config = DecodeConfig(workers=1, seconds=30, memory_mb=256)
    results = list(registry.run(bytearray, [1, 512 << 20], config))
    assert results == [bytearray(1), Rejected("needs more than 256 MiB of memory")]
