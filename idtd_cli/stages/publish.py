"""`idtd publish`: distilled set, and a report on it → a dataset on the Hugging Face Hub, with a card and a tag."""

from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from idtd_cli import distilled, documents, set_check
from idtd_cli.distilled import SUMS, SetDocument, shards
from idtd_cli.errors import IdtdError, InputError
from idtd_cli.hub import beside, card, client, repository
from idtd_cli.hub.client import Place
from idtd_cli.hub.fetching import BESIDE, CARD, WRITTEN, HubFile, Listing, listing
from idtd_cli.hub.local_file import LocalFile
from idtd_cli.hub.repository import Changes, State
from idtd_cli.report import summary
from idtd_cli.report.document import ReportDocument
from idtd_cli.runlog import Meter, Progress, Quiet

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_LICENCE = re.compile(r"[a-z0-9][a-z0-9.+-]{1,60}")
_TAG = re.compile(r"[\w][\w.-]{0,60}", re.ASCII)
_PICTURES = (".png", ".gif", ".jpg", ".webp")
#: Large files that the Hub takes in one commit.
_MOST_FILES = 25_000
#: Bytes of a source's terms.
_MOST_TERMS = 1 << 20
_SHOWN = 8


@dataclass(frozen=True)
class Published:
    """What is on the Hub now, or would be.

    Attributes:
        address: of the dataset's page.
        commit: None after a dry run.
        changed: whether a commit was made, or would be.
    """

    address: str
    commit: str | None
    changed: bool


def run(
    folder: Path,
    name: str,
    progress: Progress,
    *,
    report: Path | None = None,
    licence: str | None = None,
    terms: Path | None = None,
    private: bool = False,
    tag: str | None = None,
    dry_run: bool = False,
    endpoint: str | None = None,
    bars: bool = False,
) -> Published:
    """Check everything, upload what the Hub lacks in one commit, tag it, and check what is there then.

    The same set again changes nothing. One that was stopped goes on: what was uploaded is not uploaded again.

    Args:
        folder: the set.
        name: OWNER/NAME.
        progress: is told what goes.
        report: a report in which the set was evaluated: its folder.
        licence: an identifier of the Hub's, such as cc-by-4.0; `other` is one.
        terms: a text file, the terms of the set's source; they become a part of LICENSE.
        private: for a dataset that is new.
        tag: a name for what is published; it never moves.
        dry_run: check, say what would go, and stop.
        endpoint: address of the Hub; None is HF_ENDPOINT or the public one.
        bars: the Hub's client may draw bars of its own in place of ours, where it tells nobody else how far it is.

    Raises:
        InputError: something is not as it should be; all of it is listed, and nothing was changed.
        IdtdError: the Hub cannot be reached, refused, or does not hold what was uploaded.
    """
    problems: list[str] = []
    place = _place(name, problems)
    problems += _wrong_words(licence, tag)
    address = client.endpoint(endpoint)
    page = f"{address}/datasets/{name}"
    files = _files(folder, name, page, report, licence or "other", terms, progress, problems)
    api = client.open_client(address)
    there, wanted = None, Changes(files, ())
    if place:
        try:
            there, wanted = _look(api, place, address, files, tag, private, problems)
        except InputError as error:
            problems.append(str(error))
        except IdtdError:
            if not problems:  # those are worth more than that the Hub could not be asked
                raise
    if problems:
        raise InputError(
            f"{folder} cannot be published as {name}:" + "".join(f"\n  - {problem}" for problem in problems),
            "\nNothing was changed.",
        )
    assert place
    _show(wanted, there, files, page, tag, private, progress)
    if dry_run:
        return Published(page, None, bool(wanted))
    with _metered(progress, wanted, bars) as meter:
        head = _upload(api, place, address, wanted, there, private, meter)
    with client.explained(place, "be tagged", address):
        if tag and (there is None or tag not in there.tags):
            api.create_tag(place.repo, tag=tag, revision=head, repo_type=client.REPO_TYPE)
    _verify(api, place, address, files, head, tag)
    return Published(page, head, bool(wanted))


def _place(name: str, problems: list[str]) -> Place | None:
    try:
        place = Place.parse(name)
    except InputError as error:
        problems.append(str(error))
        return None
    if place.revision:
        problems.append(f"{name!r} names a revision: say --tag {place.revision} for that")
    return place


def _wrong_words(licence: str | None, tag: str | None) -> list[str]:
    problems = []
    if licence is None:
        problems.append(
            "no licence is named: --license cc-by-4.0 for one, or --license other; the source's terms count"
        )
    elif not _LICENCE.fullmatch(licence):
        problems.append(f"{licence!r} is no licence identifier: write it as the Hub does, such as cc-by-4.0")
    if tag is not None and (not _TAG.fullmatch(tag) or ".." in tag or tag.endswith((".", ".lock")) or tag == "main"):
        problems.append(f"{tag!r} cannot be a tag: write v1 for one")
    return problems


def _files(
    folder: Path,
    name: str,
    page: str,
    report_folder: Path | None,
    licence: str,
    terms_file: Path | None,
    progress: Progress,
    problems: list[str],
) -> dict[str, LocalFile]:
    """Path → file of all that is to be on the Hub; what is wrong with the set and the report goes to the problems."""
    report, results = None, None
    if report_folder:
        try:
            report = documents.read(ReportDocument, report_folder)
            results = (report_folder / ReportDocument.FILE).read_bytes()
        except InputError as error:
            problems.append(str(error))
    terms = _terms(terms_file, problems) if terms_file else None
    try:
        document, sums = documents.read(SetDocument, folder), distilled.read_sums(folder)
    except InputError as error:
        problems.append(str(error))
        return {}
    found = set_check.check(folder, document, progress, BESIDE)
    problems += found.problems
    if taken := sorted(WRITTEN & set(sums)):
        problems.append(f"{' and '.join(taken)} of the set would be overwritten by those that publish writes")
    digest = distilled.digest(folder) if sums else ""
    if report and card.own_result(report, digest) is None:
        problems.append(f"{report_folder} reports on other sets: evaluate this one, or leave --report out")
    if len(sums) > _MOST_FILES:
        problems.append(f"the set has {len(sums)} files; the Hub takes {_MOST_FILES} at once")
    if problems:
        return {}
    files = {path: LocalFile.of(folder / path, sha256) for path, sha256 in sums.items()}  # checked a moment ago
    files[SUMS] = LocalFile.of(folder / SUMS)
    pictures = sorted((path for path in sums if path.endswith(_PICTURES)), key=lambda path: path.count("/"))
    sample = _sample(folder, sums)
    written = beside.render(name, page, document, digest, sample, licence, terms, report, results, pictures)
    return files | {path: LocalFile.of(content) for path, content in written.items()}


def _terms(path: Path, problems: list[str]) -> str | None:
    try:
        if path.stat().st_size <= _MOST_TERMS:
            return path.read_text(encoding="utf-8")
        problems.append(f"{path} is no text of terms: it has more than {_MOST_TERMS} bytes")
    except (OSError, UnicodeDecodeError) as error:
        said = error.strerror if isinstance(error, OSError) else "it is no text in UTF-8"
        problems.append(f"{path} cannot be read: {said}")
    return None


def _sample(folder: Path, sums: dict[str, str]) -> card.Sample:
    """What the first sample of the shards, which were checked, consists of."""
    kinds, first, facts = [], None, {}
    shard = next((name for name in sorted(sums) if shards.is_shard(name)), None)
    if shard:
        with tarfile.open(folder / shard, "r:") as tar:
            for member in tar:
                key, _, kind = member.name.partition(".")
                first = first or key
                if key != first:
                    break
                kinds.append(kind)
                if kind == "json" and (file := tar.extractfile(member)):
                    facts = json.load(file)
    return card.Sample(tuple(kinds), facts)


def _look(
    api: HfApi,
    place: Place,
    address: str,
    files: dict[str, LocalFile],
    tag: str | None,
    private: bool,
    problems: list[str],
) -> tuple[State | None, Changes]:
    """What is on the Hub and what has to change there; what stands against it goes to the problems."""
    with client.explained(place, "be published", address):
        account = api.whoami()
        if files:
            problems += repository.card_problems(api, files[CARD].content_bytes())
        there = repository.state(api, place.repo)
        if there is None:
            problems += _no_right(account, place)
            return None, Changes(files, ())
    try:
        with client.explained(place, "be written to", address):
            api.auth_check(place.repo, repo_type=client.REPO_TYPE, write=True)
    except InputError as error:
        problems.append(str(error))
    held = there.main.files
    if private and not there.private:
        problems.append(f"{place.repo} is there and public: make it private on its page, or leave --private out")
    if not files:  # the set itself is wrong: nothing to compare
        return there, Changes(files, ())
    if SetDocument.FILE not in held and set(held) - {".gitattributes", CARD}:
        problems.append(f"{place.repo} holds something else than a distilled set: name a new dataset")
    if tag and tag in there.tags:
        with client.explained(place, "be looked at", address):
            tagged = listing(api, Place(place.repo, there.tags[tag])).files
            moved = repository.changes(files, tagged, _owned(api, place, tagged, there.tags[tag]))
        if moved:
            problems.append(f"the tag {tag} names another state of {place.repo}, and tags do not move: name a new one")
    with client.explained(place, "be looked at", address):
        return there, repository.changes(files, held, _owned(api, place, held, there.main.commit))


def _no_right(account: dict[str, object], place: Place) -> list[str]:
    """Why an account cannot make a new dataset."""
    owner = place.repo.partition("/")[0]
    orgs = {org.get("name"): org.get("roleInOrg") for org in account.get("orgs") or []}  # type: ignore[attr-defined]
    token = ((account.get("auth") or {}).get("accessToken") or {}).get("role")  # type: ignore[attr-defined]
    if token == "read":
        return ["your token may only read: take one with the right to write (https://huggingface.co/settings/tokens)"]
    if owner != account.get("name") and orgs.get(owner, "read") == "read":
        return [f"you are {account.get('name')}, and may not write to {owner}: take another name or another token"]
    return []


def _owned(api: HfApi, place: Place, held: dict[str, HubFile], commit: str) -> set[str]:
    """Files on the Hub that an earlier publication put there; others are somebody's own.

    Shards are owned in any case: a stray one would be read as a part of the set.
    """
    owned = {name for name in held if shards.is_shard(name)} | WRITTEN
    if SUMS in held:
        path = api.hf_hub_download(place.repo, SUMS, repo_type=client.REPO_TYPE, revision=commit)
        with suppress(InputError):  # one that was damaged there says nothing, and is written anew
            owned |= set(distilled.read_sums(Path(path).parent))
    return owned


def _show(
    wanted: Changes,
    there: State | None,
    files: dict[str, LocalFile],
    page: str,
    tag: str | None,
    private: bool,
    progress: Progress,
) -> None:
    is_private = there.private if there else private
    progress.note(f"{page} ({'private' if is_private else 'public'}{'' if there else ', new'})")
    going, stale = len(wanted.files), len(wanted.stale)
    progress.note(
        f"  {going} files go, {summary.size(wanted.bytes)}; {len(files) - going} are there; {stale} are removed"
    )
    for path, file in sorted(wanted.files.items(), key=lambda item: -item[1].size)[:_SHOWN]:
        progress.note(f"    {path}  {summary.size(file.size)}")
    if len(wanted.files) > _SHOWN:
        progress.note(f"    and {len(wanted.files) - _SHOWN} more")
    for path in wanted.stale[:_SHOWN]:
        progress.note(f"    removed: {path}")
    if tag:
        progress.note(f"  tag {tag}" + (", which is there" if there and tag in there.tags else ""))


@contextmanager
def _metered(progress: Progress, wanted: Changes, bars: bool) -> Iterator[Meter]:
    """How far an upload is."""
    if bars and client.uses_xet():
        with client.own_bars():
            yield Meter(Quiet())
    else:
        with progress.stage("upload (MB)", Meter.megabytes(wanted.bytes)) as bar:
            yield Meter(bar)


def _upload(
    api: HfApi, place: Place, address: str, wanted: Changes, there: State | None, private: bool, meter: Meter
) -> str:
    """Make the commit, if there is anything to change; gives the commit that main is at."""
    with client.explained(place, "be published", address):
        if there is None:
            api.create_repo(place.repo, repo_type=client.REPO_TYPE, private=private, exist_ok=True)
            parent = str(api.dataset_info(place.repo).sha)
        else:
            parent = there.main.commit
        if not wanted:
            return parent
        return repository.commit(api, place.repo, wanted, parent, "Publish a distilled set with idtd", meter)


def _verify(api: HfApi, place: Place, address: str, files: dict[str, LocalFile], head: str, tag: str | None) -> None:
    """Ask the Hub for the digests of what it holds now, and compare each."""
    with client.explained(place, "be verified", address):
        held: Listing = listing(api, Place(place.repo, tag or head))
    wrong = repository.changes(files, held.files, ()).files
    if wrong:
        raise IdtdError(
            f"{place.repo} does not hold what was uploaded: {', '.join(sorted(wrong)[:_SHOWN])}.",
            "Run the same command again, with a new tag if you gave one.",
        )
