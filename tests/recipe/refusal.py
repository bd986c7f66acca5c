"""What a recipe that does not fit is answered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from idtd_cli import recipe
from idtd_cli.errors import InputError
from tests import tiny


def refused(path: Path, *overrides: str, **changes: Any) -> str:
    if changes:
        path.write_text(yaml.safe_dump(tiny.settings(**changes)))
    with pytest.raises(InputError) as raised:
        recipe.load(path, overrides)
    assert raised.value.exit_code == 2
    return str(raised.value)
