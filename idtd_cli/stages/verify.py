"""`idtd verify`: is a distilled set, here or on the Hub, what it promises to be?"""

from __future__ import annotations

import tempfile
from pathlib import Path

from idtd_cli import distilled, documents, set_check
from idtd_cli.distilled import SUMS, SetDocument
from idtd_cli.distilled.document import AGAIN
from idtd_cli.errors import InputError
from idtd_cli.hub import client, fetching
from idtd_cli.hub.client import MAX_GB, Place
from idtd_cli.hub.fetching import BESIDE, RESULTS
from idtd_cli.report.document import ReportDocument
from idtd_cli.runlog import Progress
from idtd_cli.set_check import Findings


def run(what: str, endpoint: str | None, progress: Progress, max_gb: float = MAX_GB) -> list[str]:
    """Check a set from its checksums to the last clip; says what was checked.

    Args:
        what: a folder, or OWNER/NAME[@REVISION] where there is no such folder.
        endpoint: address of the Hub; None is HF_ENDPOINT or the public one.
        progress: where to report to.
        max_gb: of a set on the Hub; a larger one is refused.

    Raises:
        InputError: something is not as it should be; all of it is listed.
        IdtdError: the Hub cannot be reached.
    """
    path = Path(what)
    findings = _folder(path, progress) if path.exists() else _on_the_hub(what, endpoint, progress, max_gb)
    if findings.problems:
        raise InputError(f"{what} is not as it was made:{findings.listed()}", f"\n{AGAIN}")
    return findings.checked


def _folder(path: Path, progress: Progress) -> Findings:
    document = documents.read(SetDocument, path)
    findings = set_check.check(path, document, progress, BESIDE)
    if (path / RESULTS).is_file() and not findings.problems:
        _results(path / RESULTS, distilled.digest(path), findings)
    return findings


def _on_the_hub(what: str, endpoint: str | None, progress: Progress, max_gb: float) -> Findings:
    address = client.endpoint(endpoint)
    with client.no_folder(what):
        fetched = fetching.fetch(Place.parse(what), address, progress, max_gb)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "set"
        fetching.copy_to(fetched, folder, progress)
        findings = set_check.check(folder, fetched.document, progress)
        findings.problems = [problem.replace(f"{folder}/", "") for problem in findings.problems]
    if fetched.listing:
        others = set(fetched.listing.files) - set(fetched.sums) - {SUMS} - BESIDE
        findings.problems += [f"{name} is not listed in {SUMS}" for name in sorted(others)]
    if results := fetching.extra(fetched, RESULTS, address):
        _results(results, distilled.digest(fetched.folder), findings)
    return findings


def _results(path: Path, digest: str, findings: Findings) -> None:
    """The report that was published with a set must be one of that set."""
    try:
        report = documents.read_file(ReportDocument, path)
    except InputError as error:
        findings.problems.append(error.message)
        return
    if digest not in report.parents.values():
        findings.problems.append(f"{RESULTS} reports on other sets")
    else:
        findings.checked.append(f"{RESULTS} reports on this set")
