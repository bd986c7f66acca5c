from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from idtd_cli.cli import options, output


def download(
    name: options.HubArgument,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to make.")],
    endpoint: options.EndpointOption = None,
    max_gb: options.MaxGbOption = options.MAX_GB,
) -> None:
    """Download a distilled set from the Hugging Face Hub, and check every file against its checksum.

    What was fetched before is not fetched again; with HF_HUB_OFFLINE=1 nothing is.

    Example: idtd download owner/name@v1 sets/name
    """
    from idtd_cli.hub.client import Place
    from idtd_cli.stages import download as stage

    fetched = stage.run(Place.parse(name), out, endpoint, output.Terminal(), max_gb)
    output.say(
        f"{out}: {fetched.place.repo} at {fetched.commit[:12]}, {len(fetched.sums)} files match their checksums. "
        f"Next: idtd verify {out}, or idtd_cli.load({str(out)!r}) in Python"
    )
