"""`python -m idtd_cli` is `idtd`."""

from idtd_cli.cli.app import main

if __name__ == "__main__":
    main()
