from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from idtd_cli.cli import output


def doctor(
    folder: Annotated[Path, typer.Argument(metavar="[FOLDER]", help="Where results are to go.")] = Path(),
    json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Try what the commands need on this machine, and say how to mend what does not work.

    Exit code 1 if something that is needed does not work.

    Example: idtd doctor
    """
    import json as json_module
    from dataclasses import asdict

    from idtd_cli.errors import IdtdError
    from idtd_cli.stages import doctor as stage

    findings = []
    for finding in stage.examine(folder):
        findings.append(finding)
        if not json:
            output.say(stage.line(finding))
    if json:
        output.say(json_module.dumps([asdict(finding) for finding in findings]))
    failed = [finding.what for finding in findings if finding.state == "fail"]
    if failed:
        raise IdtdError(f"Something that idtd needs does not work: {', '.join(failed)}.", "Mend it as said above.")
