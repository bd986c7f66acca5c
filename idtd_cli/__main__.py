"""`python -m idtd_cli` is `idtd`."""

from __future__ import annotations

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line, of which Python reads the modules for a moment first: Ctrl-C may come in it."""
    try:
        from idtd_cli.cli import app
    except KeyboardInterrupt:
        sys.exit(130)
    app.main()


if __name__ == "__main__":
    main()
