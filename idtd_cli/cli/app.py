"""The command line: its commands in the order of the flow, and the one place where errors become words and exit codes.

Nothing heavy is imported before a command runs: `idtd --help` must be instant.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import Annotated, NoReturn

import typer

from idtd_cli import host_memory
from idtd_cli.cli import output
from idtd_cli.cli.commands.compare import compare
from idtd_cli.cli.commands.demo_data import demo_data
from idtd_cli.cli.commands.distill import distill
from idtd_cli.cli.commands.doctor import doctor
from idtd_cli.cli.commands.download import download
from idtd_cli.cli.commands.evaluate import evaluate
from idtd_cli.cli.commands.experts import experts
from idtd_cli.cli.commands.export import export
from idtd_cli.cli.commands.plan import plan
from idtd_cli.cli.commands.prepare import prepare
from idtd_cli.cli.commands.publish import publish
from idtd_cli.cli.commands.recipes import recipes
from idtd_cli.cli.commands.reproduce import reproduce
from idtd_cli.cli.commands.show import show
from idtd_cli.cli.commands.sources import sources
from idtd_cli.cli.commands.verify import verify
from idtd_cli.errors import STOPPED, IdtdError
from idtd_cli.version import __version__

app = typer.Typer(
    name="idtd",
    help="Distil a large labelled video set into a tiny synthetic one that still trains a good network.\n\n"
    "The flow: prepare, distill, export, evaluate; `reproduce` runs all of it. Each command has `--help`.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

for command in (
    demo_data,
    sources,
    recipes,
    prepare,
    plan,
    experts,
    distill,
    export,
    evaluate,
    compare,
    reproduce,
    show,
    publish,
    download,
    verify,
    doctor,
):
    app.command(command.__name__.replace("_", "-"))(command)


def _version(asked: bool) -> None:
    if asked:
        output.say(f"idtd {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and leave.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    pass


def main() -> NoReturn:
    """Run the command line; exit 0 when done, 2 for wrong usage or input, 1 for a failed run, 130 when stopped."""
    debug = os.environ.get("IDTD_DEBUG") == "1"
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a class name may have letters that the terminal lacks
    host_memory.keep()
    try:
        code = app(standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        code = STOPPED
    except IdtdError as error:
        if debug:
            raise
        output.complain(error.message, error.hint)
        code = error.exit_code
    except Exception as error:
        # Wrong usage. Typer carries a copy of click or uses click itself, by version: known by what it offers.
        if hasattr(error, "show") and hasattr(error, "exit_code"):
            error.show()
            sys.exit(error.exit_code)
        if debug:
            raise
        output.complain(*_unforeseen(error))
        code = 1
    if code == STOPPED:  # Typer turns Ctrl-C into this code without a word
        output.complain("Stopped.", "The same command goes on where it can (distill: add --resume).")
    sys.exit(code if isinstance(code, int) else 0)


def _unforeseen(error: Exception) -> tuple[str, str]:
    if _is_lack_of_memory(error):
        said = error.strerror if isinstance(error, OSError) else str(error)
        why = (said or "").partition(". ")[0].rstrip(".")
        what = f": {why}" if why else ""
        return (
            f"There is too little memory{what}.",
            "Lower distill.batch_real, evaluate.fit.batch for students, or the number of --workers; `idtd plan` says "
            "what a recipe takes.",
        )
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"The disk is full ({error.filename or 'while writing'}).", "Free some space and run the command again."
    if isinstance(error, OSError) and error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return (
            f"{error.filename or 'A file'} cannot be used: {error.strerror}.",
            "Change its rights, or name another place.",
        )
    if isinstance(error, OSError):
        return f"{error.filename or 'A file'} cannot be used: {error.strerror or error}.", "IDTD_DEBUG=1 shows where."
    return (
        f"Something that idtd did not foresee: {type(error).__name__}: {error}.",
        "IDTD_DEBUG=1 shows where; please report it.",
    )


def _is_lack_of_memory(error: Exception) -> bool:
    # Python calls it so, and torch of a GPU or of a CPU; by name, as torch is not imported here.
    return (
        type(error).__name__ in ("MemoryError", "OutOfMemoryError")
        or (isinstance(error, OSError) and error.errno == errno.ENOMEM)
        or any(words in str(error) for words in ("can't allocate memory", "Cannot allocate memory"))
    )
