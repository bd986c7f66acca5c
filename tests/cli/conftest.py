from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from idtd_cli.cli import app
from tests.cli.running import Done


@pytest.fixture
def idtd(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """The command line, in this process."""
    monkeypatch.delenv("IDTD_DEBUG", raising=False)

    def run(*arguments: object) -> Done:
        monkeypatch.setattr(sys, "argv", ["idtd", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            app.main()
        written = capsys.readouterr()
        return Done(left.value.code, written.out, written.err)

    return run
