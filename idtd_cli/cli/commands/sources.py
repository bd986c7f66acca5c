from __future__ import annotations

from textwrap import indent

from idtd_cli.cli import output


def sources() -> None:
    """List the kinds of source and what each expects to find.

    Example: idtd sources
    """
    from idtd_cli.sources.registry import KINDS

    width = max(map(len, KINDS)) + 2
    output.say("KIND:PLACE names a source, as in `idtd prepare ucf101:/data/UCF-101 prepared/`.")
    output.say("A bare path is taken for the first of these kinds that it looks like.")
    for name, kind in KINDS.items():
        output.say("\n" + name + indent(kind.EXPECTS, " " * width)[len(name) :])
