from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from idtd_cli.cli import options, output


def publish(
    distilled: Annotated[Path, typer.Argument(metavar="DISTILLED", help="A folder made by `idtd export`.")],
    name: Annotated[
        str, typer.Argument(metavar="OWNER/NAME", help="The dataset on the Hugging Face Hub, new or published before.")
    ],
    report: Annotated[
        Path | None,
        typer.Option(metavar="R", help="A folder made by `idtd evaluate` on this set: its figures go onto the card."),
    ] = None,
    license_: Annotated[
        str | None,
        typer.Option(
            "--license",
            metavar="L",
            help="The licence of the set, as the Hub writes it: cc-by-4.0, other, … It has to be named, and the terms "
            "of the source may decide it.",
        ),
    ] = None,
    terms: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A text file: the terms of the source, which go along as a part of LICENSE."),
    ] = None,
    private: Annotated[bool, typer.Option("--private", help="Of a new dataset: only you can see it.")] = False,
    tag: Annotated[
        str | None, typer.Option(metavar="T", help="A name for this state of the dataset, such as v1; it never moves.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check all, say what would go, change nothing.")] = False,
    endpoint: options.EndpointOption = None,
) -> None:
    """Publish a distilled set on the Hugging Face Hub: checked, with a card made of its own figures, in one commit.

    Log in first, with `hf auth login` or HF_TOKEN. The same set again changes nothing; a run that was stopped goes on.

    Example: idtd publish sets/idtd owner/name --report report/ --license cc-by-4.0 --tag v1
    """
    from idtd_cli.stages import publish as stage

    done = stage.run(
        distilled,
        name,
        output.Terminal(),
        report=report,
        licence=license_,
        terms=terms,
        private=private,
        tag=tag,
        dry_run=dry_run,
        endpoint=endpoint,
        bars=output.on_terminal(),
    )
    at = f"{name}@{tag}" if tag else name
    if dry_run:
        output.say(f"{done.address}: {'this would go' if done.changed else 'nothing would change'}; nothing was done.")
    elif done.changed:
        output.say(f"{done.address}: published and verified. To load it: idtd_cli.load({at!r})")
    else:
        output.say(f"{done.address}: unchanged, and verified. No commit was made.")
