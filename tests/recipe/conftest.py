from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests import tiny


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A recipe file."""
    found = tmp_path / "r.yaml"
    found.write_text(yaml.safe_dump(tiny.settings()))
    return found
