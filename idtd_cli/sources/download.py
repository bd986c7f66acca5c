"""Fetching the archives of a set from its owner: terms first, then a download that survives dropped connections.

An archive is kept beside PLACE and unpacked once it is what was published, by size and digest. Until then it is
`NAME.partial`, and `NAME.partial.json` says of which file at the server it is the beginning: what is there is not
fetched again, unless the server has another file by now.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

import requests
import urllib3

from idtd_cli import storage
from idtd_cli.errors import IdtdError, InputError
from idtd_cli.sources import unpack
from idtd_cli.sources.offers import OFFERS, Archive, Offer

if TYPE_CHECKING:
    from idtd_cli.runlog import Progress, Task

#: Bytes read at once. What is read when a connection drops is lost: a small piece of a slow line.
_PIECE = 1 << 14
_MIB = 1 << 20
_REDIRECTS = 5
#: Free space that an archive needs once more when it is unpacked, as a share of its size.
_UNPACKED = 1.1
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+)")


@dataclass(frozen=True)
class Patience:
    """How long a download holds out."""

    tries: int = 6  #: in a row that get no further than those before them
    pause: float = 1.0  #: seconds before another; doubled with each in a row that gained nothing
    answer: float = 60.0  #: seconds to wait for a connection, and for more bytes


def offered(address: str) -> tuple[Offer, Path]:
    """The offer behind `KIND:PLACE`, and the place.

    Raises:
        InputError: nobody offers this kind, or no place is given.
    """
    kind, _, place = address.partition(":")
    if kind not in OFFERS or not place:
        raise InputError(
            f"{address} cannot be downloaded.",
            f"Name what and where to, as in ucf101:/data/UCF-101; the kinds that can be are {', '.join(OFFERS)}.",
        )
    return OFFERS[kind], Path(place)


def fetch(offer: Offer, place: Path, *, accepted: bool, progress: Progress, patience: Patience | None = None) -> None:
    """Put what an owner offers to its place, as far as it is not there: the videos to `place`, their lists beside it.

    Sizes and terms are said first. The archives are kept in the folder around `place`; one that lies there already,
    by whatever way it came, is checked and not fetched.

    Args:
        offer: what and from where.
        place: the folder of the videos. If it holds anything it is taken to be complete.
        accepted: whether the user accepts the owner's terms.
        progress: is told the terms, and how far it is, in MiB.
        patience: with a server that does not answer, or drops its connections.

    Raises:
        InputError: the terms are not accepted, the disk has too little space, or there is no tool to unpack with;
            nothing was fetched.
        IdtdError: the server does not have the archive, or another one, or gave up; what was fetched is kept.
        OSError: a file could not be written.
    """
    patience = patience or Patience()
    place = place.absolute()  # `.` has no name and no folder around it
    wanted = [archive for archive in offer.archives if not _unpacked(archive, place)]
    if not wanted:
        progress.note(f"{place} holds {offer.title} already: nothing to fetch.")
        return
    with requests.Session() as session:
        line = _Line(session, patience, offer.page)
        sizes = [archive.bytes or line.size(archive.url, archive.kept(place)) for archive in wanted]
        for text in _terms(offer, place, wanted, sizes):
            progress.note(text)
        if not accepted:
            raise InputError(
                f"Nothing was fetched: {offer.title} has terms that you have to accept.",
                "Read them, and run the command again with --accept-licence.",
            )
        unpack.need_tool([archive.name for archive in wanted], place.parent)
        storage.make_folder(place.parent)
        _need_space(place.parent, wanted, sizes)
        for archive, size in zip(wanted, sizes, strict=True):
            kept = archive.kept(place)
            if kept.exists():
                _verify(kept, kept, archive, progress)
            else:
                partial = _Partial.of(kept)
                line.fetch(archive, kept, size, progress)
                _verify(partial.path, kept, archive, progress)
                partial.finish(kept)
            with storage.new_folder(archive.target(place), progress.note) as folder:
                unpack.unpack(kept, folder, top=archive.top, nested=archive.nested, progress=progress)


def _unpacked(archive: Archive, place: Path) -> bool:
    """Unpacking is all or nothing: a folder that holds anything holds all. Lists may lie in PLACE, too."""
    folders = (archive.target(place), place / archive.beside) if archive.beside else (place,)
    return any(not storage.is_empty(folder) for folder in folders)


def _terms(offer: Offer, place: Path, wanted: list[Archive], sizes: list[int | None]) -> Iterator[str]:
    yield f"{offer.title}, by its owner: {offer.page}"
    for archive, size in zip(wanted, sizes, strict=True):
        how = "is there" if archive.kept(place).exists() else f"from {archive.url}"
        yield f"  {archive.name}, {_words(size)}, {how}; unpacked to {archive.target(place)}"
    yield f"The archives are kept in {place.parent}."
    yield f"Terms: {offer.terms}"
    yield f"To cite: {offer.citation}"


def _words(size: int | None) -> str:
    return "of unknown size" if size is None else f"{size / 1e9:.2f} GB" if size >= 1e8 else f"{size / 1e6:.2f} MB"


def _need_space(folder: Path, wanted: list[Archive], sizes: list[int | None]) -> None:
    need = 0.0
    for archive, size in zip(wanted, sizes, strict=True):
        kept = folder / archive.name
        there = next((path.stat().st_size for path in (kept, _Partial.of(kept).path) if path.exists()), 0)
        need += max((size or 0) - there, 0) + _UNPACKED * (size or 0)
    free = shutil.disk_usage(folder).free
    if need > free:
        raise InputError(
            f"{folder} has {_words(free)} free, and keeping and unpacking the archives takes {_words(int(need))}.",
            "Free some space, or name a place on another disk.",
        )


def _verify(path: Path, kept: Path, archive: Archive, progress: Progress) -> None:
    """Check size and digest of what is to be kept as `kept`; a file that is another is set aside."""
    algorithm, _, published = archive.digest.partition(":")
    size, found = path.stat().st_size, ""
    if archive.bytes in (None, size):
        digest = hashlib.new(algorithm, usedforsecurity=False)
        with progress.stage(f"check {kept.name} (MiB)", -(-size // _MIB)) as task, open(path, "rb") as file:
            while piece := file.read(_MIB):
                digest.update(piece)
                task.advance()
        found = digest.hexdigest()
    if found != published:
        aside = kept.with_name(f"{kept.name}.wrong")
        os.replace(path, aside)
        what = f"{algorithm} {found}, not {published}" if found else f"{size} bytes, not {archive.bytes}"
        raise IdtdError(
            f"{kept.name} is not the archive that was published: it has {what}; it was set aside as {aside}.",
            "Run the command again to fetch it anew; if it comes out the same, its owner has changed it.",
        )


@dataclass(frozen=True)
class _Known:
    """What a server said of a file when its first byte was fetched."""

    validator: str  #: ETag or Last-Modified, for If-Range
    total: int  #: bytes


@dataclass(frozen=True)
class _Partial:
    """The beginning of a file."""

    path: Path
    about: Path  #: JSON: of which file

    @staticmethod
    def of(kept: Path) -> _Partial:
        return _Partial(kept.with_name(f"{kept.name}.partial"), kept.with_name(f"{kept.name}.partial.json"))

    def held(self) -> int:
        """Bytes."""
        return self.path.stat().st_size if self.path.exists() else 0

    def known(self) -> _Known | None:
        """None if there is nothing to go on from."""
        try:
            about = json.loads(self.about.read_text(encoding="utf-8"))
            known = _Known(str(about["validator"]), int(about["total"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return known if 0 < self.held() <= known.total else None

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)
        self.about.unlink(missing_ok=True)

    def begin(self, known: _Known | None) -> None:
        """An empty file; without `known` it cannot be gone on from."""
        self.discard()
        if known is not None:
            storage.write_text(self.about, json.dumps(asdict(known)))
        self.path.touch()

    def finish(self, kept: Path) -> None:
        os.replace(self.path, kept)
        self.about.unlink(missing_ok=True)


class _DroppedError(Exception):
    """A connection that failed in a way that another try may mend; the text says how."""


@dataclass(frozen=True)
class _Line:
    """The way to the owner's server."""

    session: requests.Session
    patience: Patience
    page: str

    def size(self, url: str, kept: Path) -> int | None:
        """Bytes of the archive, from the one that is kept or else from the server; None if neither knows."""
        if kept.exists():
            return kept.stat().st_size
        try:
            with self._open("HEAD", url, {}) as response:
                return _length(response) if response.ok else None
        except (_DroppedError, IdtdError):
            return None  # fetching it will say why

    def fetch(self, archive: Archive, kept: Path, size: int | None, progress: Progress) -> None:
        """Fetch what is not yet in the partial file of an archive, over as many connections as it takes.

        Raises:
            IdtdError: the server does not have it, has another one, or gave nothing more in several tries in a row.
        """
        partial = _Partial.of(kept)
        total = -(-size // _MIB) if size else None
        with progress.stage(f"fetch {kept.name} (MiB)", total) as task:
            shown = _Shown(task)
            furthest = partial.held() if partial.known() else 0
            failed = 0
            while True:
                try:
                    return self._receive(archive, kept, shown)
                except _DroppedError as drop:
                    # A server that cannot go on in the middle gets as far as before, again and again: that is no gain.
                    failed = 0 if partial.held() > furthest else failed + 1
                    furthest = max(furthest, partial.held())
                    if failed >= self.patience.tries:
                        raise IdtdError(
                            f"{archive.url} could not be fetched: {drop}, {failed} times in a row; "
                            f"it got as far as {_words(furthest)}.",
                            f"Run the same command again to go on, or put the file at {kept} in another way.",
                        ) from drop
                    time.sleep(self.patience.pause * 2**failed)

    def _receive(self, archive: Archive, kept: Path, shown: _Shown) -> None:
        """One connection: go on where the partial file ends if that can be, else begin anew."""
        partial = _Partial.of(kept)
        known = partial.known()
        held = partial.held() if known else 0
        shown.at(held)
        if known and held == known.total:
            return
        ask = {"Range": f"bytes={held}-", "If-Range": known.validator} if known else {}
        with self._open("GET", archive.url, ask) as response:
            if response.status_code == 206 and known and _goes_on(response, known, held):
                total: int | None = known.total
            elif response.status_code == 200:
                total, held = _length(response), 0
                if archive.bytes is not None and total not in (None, archive.bytes):
                    raise IdtdError(
                        f"{archive.url} has {total} bytes, not {archive.bytes}: it is not the archive that was "
                        "published.",
                        self._by_hand(kept),
                    )
                validator = _validator(response)
                partial.begin(_Known(validator, total) if validator and total else None)
            elif response.status_code in (206, 416):
                partial.discard()
                raise _DroppedError("the file changed while it was fetched")
            elif response.status_code in (408, 429) or response.status_code >= 500:
                raise _DroppedError(f"the server answered {response.status_code}")
            else:
                raise IdtdError(
                    f"{archive.url} cannot be had: the server answered {response.status_code}.", self._by_hand(kept)
                )
            try:
                with open(partial.path, "ab") as file:
                    for piece in self._pieces(response):
                        file.write(piece)
                        held += len(piece)
                        shown.at(held)
            except OSError as error:
                error.filename = error.filename or str(partial.path)  # a write that fails says why, and not where
                raise
        if total is not None and held != total:  # urllib3 says so itself from version 2 on
            raise _DroppedError(f"the connection was dropped after {held} of {total} bytes")

    @contextmanager
    def _open(self, method: str, url: str, headers: dict[str, str]) -> Iterator[requests.Response]:
        """Ask, and follow where the server sends us, but never from https to anything less."""
        sent = {"Accept-Encoding": "identity", **headers}
        for _ in range(_REDIRECTS + 1):
            try:
                response = self.session.request(
                    method,
                    url,
                    headers=sent,
                    stream=True,
                    timeout=self.patience.answer,
                    allow_redirects=False,
                    auth=_nobody,
                )
            except requests.exceptions.SSLError as error:
                raise IdtdError(
                    f"The certificate of {urlsplit(url).hostname} cannot be verified.",
                    f"Fetch {url} in another way and put it beside the place: its digest is checked then, too.",
                ) from error
            except requests.Timeout as error:
                raise _DroppedError(f"the server did not answer within {self.patience.answer:g} s") from error
            except requests.RequestException as error:
                raise _DroppedError("the server could not be reached") from error
            with response:
                if not response.is_redirect:
                    yield response
                    return
                before, url = url, urljoin(url, response.headers["Location"])
            allowed = ("https",) if urlsplit(before).scheme == "https" else ("https", "http")
            if urlsplit(url).scheme not in allowed:
                raise IdtdError(f"{before} leads to {url}, which is not https.", f"See {self.page}.")
        raise IdtdError(f"{url} leads from one address to the next without end.", f"See {self.page}.")

    def _pieces(self, response: requests.Response) -> Iterator[bytes]:
        """The bytes as they were sent."""
        try:
            yield from response.raw.stream(_PIECE, decode_content=False)
        except urllib3.exceptions.ReadTimeoutError as error:
            raise _DroppedError(f"no more bytes came within {self.patience.answer:g} s") from error
        except urllib3.exceptions.HTTPError as error:
            raise _DroppedError("the connection was dropped") from error

    def _by_hand(self, kept: Path) -> str:
        return f"See {self.page}; a copy put at {kept} is checked and used."


class _Shown:
    """Progress in whole MiB, forth and, when a download begins anew, back."""

    def __init__(self, task: Task) -> None:
        self._task, self._done = task, 0

    def at(self, held: int) -> None:
        done = held // _MIB
        if done != self._done:
            self._task.advance(done - self._done)
            self._done = done


def _nobody(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """No credentials, also if ~/.netrc has some."""
    return request


def _length(response: requests.Response) -> int | None:
    text = response.headers.get("Content-Length", "")
    return int(text) if text.isdecimal() and len(text) < 20 else None


def _validator(response: requests.Response) -> str | None:
    """What says that a file is still the same one. A weak ETag does not: it lets bytes differ."""
    tag = response.headers.get("ETag")
    return tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified")


def _goes_on(response: requests.Response, known: _Known, held: int) -> bool:
    """Whether a 206 carries the rest of the very file whose beginning we hold."""
    match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if match is None or (int(match[1]), int(match[2])) != (held, known.total):
        return False
    return _validator(response) in (None, known.validator)
