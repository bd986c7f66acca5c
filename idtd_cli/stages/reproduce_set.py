"""`idtd reproduce --from`: a set on the Hub, and videos of one's own → do the figures that came with it come out?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from idtd_cli import distilled, documents, storage
from idtd_cli.demo.motions import MOTIONS
from idtd_cli.distilled import SetDocument
from idtd_cli.errors import InputError
from idtd_cli.hub import card, client, fetching
from idtd_cli.hub.client import MAX_GB, Place
from idtd_cli.hub.fetching import RESULTS, Fetched
from idtd_cli.prepared import PreparedDocument
from idtd_cli.recipe import Recipe, load, section_digest
from idtd_cli.report import reproduction
from idtd_cli.report.document import ReportDocument, Result
from idtd_cli.report.expectation import Compared
from idtd_cli.runlog import Progress
from idtd_cli.sources import registry
from idtd_cli.stages import download, evaluate, prepare
from idtd_cli.stages.reproduce import demo_set, need_fitting_networks, need_own

_RECIPE = "recipe.yaml"
_PARTS = ("data", "prepared", "report", "set", _RECIPE)


@dataclass(frozen=True)
class Reproduced:
    """What was found, and how it stands to what was published."""

    report: ReportDocument
    compared: list[Compared]


def run(
    place: Place,
    out: Path,
    source: str | Path | None,
    overrides: Sequence[str],
    device: str,
    progress: Progress,
    endpoint: str | None = None,
    max_gb: float = MAX_GB,
) -> Reproduced:
    """Fetch a set, prepare its source anew and train the students of its report once more; what is done is skipped.

    Args:
        place: the set.
        out: gets set/, recipe.yaml (that of the set, with the protocol of its report), data/ (the demo set, without a
            source), prepared/ and report/.
        source: the videos that the set was made from, as `idtd prepare` takes them; None is the demo set.
        overrides: changes of the recipe as `--set` has them: of how many students there are, and of the decoding.
        device: "cpu" or "cuda".
        progress: where to report to.
        endpoint: address of the Hub; None is HF_ENDPOINT or the public one.
        max_gb: a larger set is refused.

    Raises:
        InputError: there is no such set, nothing was published to compare with, a published figure contradicts itself,
            the source has other classes, or `out` holds something else.
        IdtdError: the Hub cannot be reached.
    """
    need_own(out, _PARTS)
    fetched = download.run(place, out / "set", endpoint, progress, max_gb)
    document = fetched.document
    published, own = _published(fetched, endpoint)
    recipe = _recipe(fetched, published, out, overrides)
    need_fitting_networks(recipe)
    if source is None:
        if not set(document.classes) <= set(MOTIONS):
            raise InputError(
                f"{place} was made from {published.source}, not from the demo set.",
                "Name your own copy of that with --source.",
            )
        source = demo_set(out, progress)
    if registry.find(source, recipe.prepare.split.fold).classes != document.classes:
        raise InputError(
            f"{source} has other classes than {place}, which was made from {published.source}.",
            "Name your own copy of that with --source.",
        )
    prepared = prepare.run(source, out / "prepared", recipe, progress)
    _compare_clips(prepared, document, published, place, progress)
    report = evaluate.run([out / "set"], out / "prepared", out / "report", recipe, device, progress)
    return Reproduced(report, reproduction.compared(published, own, report))


def _published(fetched: Fetched, endpoint: str | None) -> tuple[ReportDocument, Result]:
    """The report that came with a set, and the result of the set in it."""
    path = fetching.extra(fetched, RESULTS, client.endpoint(endpoint))
    if path is None:
        raise InputError(
            f"{fetched.place} was published without a report: there is nothing to compare with.",
            "Name another set, or another revision.",
        )
    with client.named(fetched.place, fetched.folder):
        report = documents.read_file(ReportDocument, path)
    reproduction.need_sound(report)
    own = card.own_result(report, distilled.digest(fetched.folder))
    if own is None:
        raise InputError(f"{RESULTS} of {fetched.place} reports on other sets.", f"Tell the owner of {fetched.place}.")
    return report, own


def _recipe(fetched: Fetched, published: ReportDocument, out: Path, overrides: Sequence[str]) -> Recipe:
    """The recipe of a set with the protocol of its report, on this machine."""
    if fetched.document.recipe is None:
        raise InputError(f"{fetched.place} does not say by which recipe it was made.", "Name another set.")
    theirs = prepare.without_machine(fetched.document.recipe.model_copy(update={"evaluate": published.protocol}))
    storage.write_text(out / _RECIPE, theirs.to_yaml())
    recipe = load(out / _RECIPE, overrides)
    measured, published_as = (section_digest(evaluate.for_one_student(each.evaluate)) for each in (recipe, theirs))
    if measured != published_as or prepare.without_machine(recipe).prepare != theirs.prepare:
        raise InputError(
            f"With {', '.join(overrides)} something else would be measured than what was published.",
            "--set may change evaluate.students, full_students, across, plain and lossy, and where, and how many at a "
            "time, students are "
            "trained and videos are decoded.",
        )
    return recipe


def _compare_clips(
    prepared: PreparedDocument, document: SetDocument, published: ReportDocument, place: Place, progress: Progress
) -> None:
    """Say whether the students will see the clips that the published ones saw."""
    theirs = published.parents.get("prepared")
    # A prepared set knows the name of the folder that it came from and the idtd that made it; its clips do not.
    like = (
        prepared.model_copy(update={"source": published.source, "created_by": version})
        for version in (prepared.created_by, document.created_by, published.created_by)
    )
    if theirs in [each.digest() for each in like]:
        progress.note(f"The clips are, byte for byte, those that the figures of {place} were measured on.")
    else:
        progress.note(
            f"Warning: the clips are not, byte for byte, those that the figures of {place} were measured on. Other "
            "files, or another version of a decoder, give other clips, and figures may differ by more than chance."
        )
