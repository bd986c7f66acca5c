from __future__ import annotations

import errno
import hashlib
import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from idtd_cli.errors import IdtdError, InputError
from idtd_cli.sources.download import Patience, fetch, offered
from idtd_cli.sources.offers import OFFERS, Archive, Offer
from tests import tiny
from tests.sources.serving import Served, serving
from tests.sources.test_unpack import make_rar, make_zip, stand_in

#: Noise, so that its zip is as large: 60 KB, four pieces and more.
VIDEO = np.random.default_rng(0).bytes(60_000)
LISTS = make_zip({"lists/trainlist01.txt": b"run/a.avi 1\n"})
VIDEOS = make_zip({"SET/run/a.avi": VIDEO, "SET/jump/b.avi": b"b"})
UNPACKED = {"lists/trainlist01.txt": b"run/a.avi 1\n", "place/run/a.avi": VIDEO, "place/jump/b.avi": b"b"}
QUICK = Patience(tries=3, pause=0.001, answer=5)


def sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def offer(url: str, *archives: Archive) -> Offer:
    videos = Archive(f"{url}videos.zip", sha256(VIDEOS), bytes=len(VIDEOS), top="SET")
    return Offer("A set", "https://owner.example", "Terms of it.", "Its paper.", archives or (videos,))


def get(
    url: str, place: Path, *archives: Archive, accepted: bool = True, patience: Patience = QUICK, **changes: Any
) -> tiny.Heard:
    """Fetch an offer of some archives; by default of the videos, with changes."""
    heard = tiny.Heard()
    made = offer(url, *archives)
    if changes:
        made = replace(made, archives=(replace(made.archives[0], **changes),))
    fetch(made, place, accepted=accepted, progress=heard, patience=patience)
    return heard


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def whole(place: Path) -> bool:
    """Whether the videos, and the archive, are there and nothing else is around them."""
    names = sorted(path.name for path in place.parent.iterdir())
    return files(place) == {"run/a.avi": VIDEO, "jump/b.avi": b"b"} and names == sorted([place.name, "videos.zip"])


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A place whose folder does not exist yet."""
    return tmp_path / "data" / "place"


def test_videos_go_to_the_place_and_lists_beside_it(place: Path) -> None:
    with serving(videos_zip=Served(VIDEOS), lists_zip=Served(LISTS)) as url:
        lists = Archive(f"{url}lists.zip", sha256(LISTS), top="lists", beside="lists")
        get(url, place, lists, *offer(url).archives)
    assert files(place.parent) == UNPACKED | {"videos.zip": VIDEOS, "lists.zip": LISTS}


def test_sizes_and_terms_are_said_and_nothing_is_fetched_until_they_are_accepted(place: Path) -> None:
    served = Served(VIDEOS)
    heard = tiny.Heard()
    with serving(videos_zip=served) as url:
        unsized = Archive(f"{url}missing.zip", sha256(VIDEOS), beside="other")
        made = offer(url, *offer(url).archives, unsized)
        with pytest.raises(InputError, match=r"^Nothing was fetched: A set has terms .* --accept-licence\.$"):
            fetch(made, place, accepted=False, progress=heard, patience=QUICK)
    said = "\n".join(heard.notes)
    for words in (
        "0.06 MB, from http",
        "missing.zip, of unknown size",
        str(place),
        f"kept in {place.parent}",
        "Terms of it.",
        "Its paper.",
        "owner.",
    ):
        assert words in said
    assert served.asked == []
    assert not place.parent.exists()


def test_a_size_that_nobody_published_is_asked_of_the_server(place: Path) -> None:
    with serving(videos_zip=Served(VIDEOS)) as url:
        heard = get(url, place, bytes=None)
    assert any("videos.zip, 0.06 MB" in note for note in heard.notes)


def test_a_second_run_does_nothing(place: Path) -> None:
    served = Served(VIDEOS)
    with serving(videos_zip=served) as url:
        get(url, place)
    before = tiny.contents(place.parent)
    heard = get(url, place, accepted=False)  # the server is gone
    assert heard.notes == [f"{place} holds A set already: nothing to fetch."]
    assert tiny.contents(place.parent) == before
    assert served.asked == [0]


@pytest.mark.parametrize("where", ["place/lists", "lists"])
def test_lists_may_lie_in_the_place_or_beside_it(place: Path, where: str) -> None:
    for name in ("place/run/a.avi", f"{where}/trainlist01.txt"):
        (place.parent / name).parent.mkdir(parents=True)
        (place.parent / name).write_bytes(b"")
    before = files(place.parent)
    get("", place, Archive("http://127.0.0.1:9/lists.zip", "md5:0", beside="lists"), *offer("").archives)
    assert files(place.parent) == before


def test_lists_alone_are_fetched_where_the_videos_are_there(place: Path) -> None:
    place.mkdir(parents=True)
    (place / "mine.avi").write_bytes(b"mine")
    with serving(lists_zip=Served(LISTS)) as url:
        get(url, place, Archive(f"{url}lists.zip", sha256(LISTS), top="lists", beside="lists"), *offer(url).archives)
    assert files(place.parent) == {
        "place/mine.avi": b"mine",
        "lists/trainlist01.txt": b"run/a.avi 1\n",
        "lists.zip": LISTS,
    }


def test_a_place_that_holds_something_is_left_alone(place: Path) -> None:
    place.mkdir(parents=True)
    (place / "mine.avi").write_bytes(b"mine")
    with serving() as url:
        get(url, place)
    assert files(place.parent) == {"place/mine.avi": b"mine"}


def test_an_archive_put_there_by_hand_is_checked_and_used(place: Path) -> None:
    place.parent.mkdir()
    (place.parent / "videos.zip").write_bytes(VIDEOS)
    with serving() as url:
        heard = get(url, place)
    assert any("videos.zip, 0.06 MB, is there" in note for note in heard.notes)
    assert whole(place)


def test_a_dropped_connection_goes_on_where_it_stopped(place: Path) -> None:
    served = Served(VIDEOS, drop_after=20_000)
    with serving(videos_zip=served) as url:
        get(url, place)
    assert whole(place)
    assert len(served.asked) > 3  # more drops than tries in a row: each gained something
    assert served.asked == sorted(set(served.asked))
    # What was read last, when a connection dropped, may be asked for again, and no more than that.
    assert sum(served.sent) < len(VIDEOS) + len(served.asked) * (1 << 14)


def test_going_on_is_asked_for_by_last_modified_where_the_etag_is_weak(place: Path) -> None:
    modified = "Wed, 21 Oct 2015 07:28:00 GMT"
    served = Served(VIDEOS, etag='W/"one"', modified=modified, drop_after=40_000)
    with serving(videos_zip=served) as url:
        get(url, place)
    assert whole(place)
    assert served.asked[1] > 0
    assert served.headers[1]["If-Range"] == modified


@pytest.mark.parametrize(
    "faults",
    [{"ranges": False}, {"etag": None, "if_range": False}, {"misplaced": 1}],
    ids=["no ranges", "nothing to tell the file by", "another range than asked for"],
)
def test_a_server_that_cannot_go_on_is_asked_anew_and_given_up(place: Path, faults: dict[str, Any]) -> None:
    served = Served(VIDEOS, drop_after=40_000, **faults)
    with serving(videos_zip=served) as url:
        with pytest.raises(
            IdtdError, match=r"could not be fetched: the .*, 3 times in a row; it got as far as 0\.04 MB"
        ):
            get(url, place)
        assert len(served.asked) == 4
        assert not (place.parent / "videos.zip").exists()
        served.drop_after = None
        get(url, place)
    assert whole(place)


@pytest.mark.parametrize("if_range", [True, False], ids=["heeds If-Range", "ignores If-Range"])
def test_a_file_that_changes_meanwhile_is_begun_anew(place: Path, if_range: bool) -> None:
    other = VIDEOS[:100] + b"!" + VIDEOS[101:]  # as long as the right one
    served = Served(other, changed=VIDEOS, drop_after=40_000, if_range=if_range)
    with serving(videos_zip=served) as url:
        get(url, place)
    assert whole(place)
    assert served.asked[1] > 0


def test_a_server_that_claims_more_than_it_sends(place: Path) -> None:
    with (
        serving(videos_zip=Served(VIDEOS, claims=len(VIDEOS) + 99)) as url,
        pytest.raises(IdtdError, match=r"has \d+ bytes, not \d+: it is not the archive that was published\. See http"),
    ):
        get(url, place)
    with (
        serving(videos_zip=Served(VIDEOS, claims=len(VIDEOS) + 99)) as url,
        pytest.raises(IdtdError, match=r"could not be fetched: .*, 3 times in a row; it got as far as 0\.06 MB"),
    ):
        get(url, place, bytes=None)


def test_a_server_that_claims_less_than_it_has(place: Path) -> None:
    with (
        serving(videos_zip=Served(VIDEOS, claims=len(VIDEOS) - 99)) as url,
        pytest.raises(IdtdError, match=r"not the archive that was published: it has sha256 \w+, not \w+; .* aside as"),
    ):
        get(url, place, bytes=None)


def test_a_server_that_says_no_size(place: Path) -> None:
    with serving(videos_zip=Served(VIDEOS, sized=False)) as url:
        get(url, place, bytes=None)
    assert whole(place)


@pytest.mark.parametrize("by_hand", [False, True])
def test_a_wrong_digest_sets_the_file_aside(place: Path, by_hand: bool) -> None:
    wrong = VIDEOS[:-1] + b"!"
    served = Served(wrong)
    if by_hand:
        place.parent.mkdir()
        (place.parent / "videos.zip").write_bytes(wrong)
    with serving(videos_zip=served) as url:
        with pytest.raises(IdtdError, match=r"not the archive that was published: it has sha256 .*videos\.zip\.wrong"):
            get(url, place)
        assert files(place.parent).keys() - {"videos.zip.partial.json"} == {"videos.zip.wrong"}
        served.body, served.etag = VIDEOS, '"two"'
        get(url, place)
    (place.parent / "videos.zip.wrong").unlink()
    assert whole(place)


def test_an_md5(place: Path) -> None:
    with serving(videos_zip=Served(VIDEOS)) as url:
        get(url, place, digest=f"md5:{hashlib.md5(VIDEOS).hexdigest()}")
    assert whole(place)


def test_a_server_that_is_busy_is_asked_again(place: Path) -> None:
    served = Served(VIDEOS, statuses=[503, 429])
    with serving(videos_zip=served) as url:
        get(url, place)
    assert whole(place)
    assert served.asked == [0, 0, 0]


@pytest.mark.parametrize("status", [403, 404, 410])
def test_a_file_that_is_not_there(place: Path, status: int) -> None:
    served = Served(VIDEOS, statuses=[status])
    words = rf"cannot be had: the server answered {status}\. See https://owner\.example; a copy put at .*videos\.zip is"
    with serving(videos_zip=served) as url, pytest.raises(IdtdError, match=words):
        get(url, place)
    assert served.asked == [0]


def test_no_server(place: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/"
    with pytest.raises(IdtdError, match=r"could not be fetched: the server could not be reached, 3 times in a row"):
        get(url, place)


def test_a_server_that_falls_silent(place: Path) -> None:
    served = Served(VIDEOS, hold_at=40_000)
    with serving(videos_zip=served) as url:
        get(url, place, patience=replace(QUICK, answer=0.3))
    assert whole(place)
    assert served.asked[1] >= 40_000 - (1 << 14)


def test_a_server_of_plain_http_may_lead_to_another(place: Path) -> None:
    with (
        serving(videos_zip=Served(VIDEOS)) as other,
        serving(videos_zip=Served(b"", redirect=f"{other}videos.zip")) as url,
    ):
        get(url, place)
    assert whole(place)


@pytest.mark.parametrize(
    ("to", "words"), [("file:///etc/passwd", "which is not https"), ("videos.zip", "from one address to the next")]
)
def test_a_redirect_that_is_not_followed(place: Path, to: str, words: str) -> None:
    served = Served(b"", redirect=to)
    with serving(videos_zip=served) as url, pytest.raises(IdtdError, match=words):
        get(url, place)
    assert len(served.asked) <= 6


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of 127.0.0.1, with its key, that nobody vouches for."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    path = tmp_path_factory.mktemp("certificate") / "both.pem"
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    name = ["-addext", "subjectAltName=IP:127.0.0.1"]
    made = subprocess.run([openssl, "req", "-x509", *key, *name, "-keyout", "-"], capture_output=True, check=True)
    path.write_bytes(made.stdout)
    return path


def test_https_does_not_lead_to_http(place: Path, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    served = Served(VIDEOS)
    with (
        serving(videos_zip=served) as plain,
        serving(certificate, videos_zip=Served(b"", redirect=f"{plain}videos.zip")) as url,
        pytest.raises(IdtdError, match=r"leads to http://.*, which is not https\. See https://owner\.example"),
    ):
        get(url, place)
    assert served.asked == []
    with serving(certificate, videos_zip=served) as url:
        get(url, place)
    assert whole(place)


def test_a_certificate_that_nobody_vouches_for(place: Path, certificate: Path) -> None:
    served = Served(VIDEOS)
    with (
        serving(certificate, videos_zip=served) as url,
        pytest.raises(IdtdError, match=r"The certificate of 127\.0\.0\.1 cannot be verified\. Fetch https://"),
    ):
        get(url, place)
    assert served.asked == []


def test_a_netrc_is_not_sent(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    served = Served(VIDEOS)
    with serving(videos_zip=served) as url:
        get(url, place)
    assert "Authorization" not in served.headers[0]


def test_too_little_space(place: Path) -> None:
    served = Served(VIDEOS)
    with (
        serving(videos_zip=served) as url,
        pytest.raises(InputError, match=r" free, and keeping .* takes 2100000\.00 GB"),
    ):
        get(url, place, bytes=10**15)
    assert served.asked == []


def test_a_disk_that_fills_up_and_has_space_again(place: Path) -> None:
    resource = pytest.importorskip("resource", reason="needs a limit on the size of files, in place of a full disk")
    served = Served(VIDEOS)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with serving(videos_zip=served) as url:
        resource.setrlimit(resource.RLIMIT_FSIZE, (33_333, limits[1]))
        try:
            with pytest.raises(OSError, match=r"videos\.zip\.partial") as raised:
                get(url, place)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert raised.value.errno == errno.EFBIG
        get(url, place)
    assert whole(place)
    assert served.asked == [0, 33_333]


def until(condition: Callable[[], bool]) -> None:
    for _ in range(3000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it did not happen")


def in_a_process(made: Offer, place: Path) -> subprocess.Popen[bytes]:
    code = (
        "from pathlib import Path\n"
        "from idtd_cli.runlog import Quiet\n"
        "from idtd_cli.sources.download import fetch\n"
        "from idtd_cli.sources.offers import Archive, Offer\n"
        f"fetch({made!r}, Path({str(place)!r}), accepted=True, progress=Quiet())"
    )
    return subprocess.Popen([sys.executable, "-c", code])


def test_what_came_before_a_kill_is_not_fetched_again(place: Path) -> None:
    served = Served(VIDEOS, hold_at=50_000)
    partial = place.parent / "videos.zip.partial"
    with serving(videos_zip=served) as url:
        process = in_a_process(offer(url), place)
        until(lambda: partial.exists() and partial.stat().st_size > 30_000)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        held = partial.stat().st_size
        served.release.set()
        get(url, place)
    assert whole(place)
    assert served.asked == [0, held]
    assert served.sent[1] == len(VIDEOS) - held


def test_a_partial_file_without_its_origin_is_not_trusted(place: Path) -> None:
    place.parent.mkdir()
    (place.parent / "videos.zip.partial").write_bytes(VIDEOS[:1000])
    (place.parent / "videos.zip.partial.json").write_text("[]")
    served = Served(VIDEOS)
    with serving(videos_zip=served) as url:
        get(url, place)
    assert whole(place)
    assert served.asked == [0]


def test_a_download_that_was_killed_at_its_end_asks_for_nothing(place: Path) -> None:
    place.parent.mkdir()
    (place.parent / "videos.zip.partial").write_bytes(VIDEOS)
    (place.parent / "videos.zip.partial.json").write_text(json.dumps({"validator": "x", "total": len(VIDEOS)}))
    with serving() as url:
        get(url, place)
    assert whole(place)


def test_an_unpacking_that_was_killed_is_done_again(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = make_rar({"SET/run/a.avi": VIDEO, "SET/jump/b.avi": b"b"})
    # The first time, the tool stands still after a part of what it has to write.
    flag = tmp_path / "been-here"
    more = [
        f"import os, time; flag = {str(flag)!r}",
        "if not os.path.exists(flag):",
        "    open(flag, 'w').close()",
        "    with rarfile.RarFile(sys.argv[-1]) as file: sys.stdout.buffer.write(file.read('SET/run/a.avi'))",
        "    sys.stdout.buffer.flush(); time.sleep(60)",
    ]
    stand_in(tmp_path / "bin", monkeypatch, "\n".join(more))
    archive = Archive("http://127.0.0.1:9/videos.rar", sha256(data), top="SET")
    place.parent.mkdir()
    (place.parent / "videos.rar").write_bytes(data)
    process = in_a_process(offer("", archive), place)
    until(lambda: any(path.stat().st_size == len(VIDEO) for path in place.parent.rglob("a.avi")))
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not place.exists()
    get("", place, archive)
    assert files(place.parent) == {"place/run/a.avi": VIDEO, "place/jump/b.avi": b"b", "videos.rar": data}


def test_an_archive_that_cannot_be_unpacked_leaves_no_place(place: Path) -> None:
    data = make_zip({"SET/run/a.avi": b"a", "../x.avi": b"x"})
    with serving(videos_zip=Served(data)) as url, pytest.raises(InputError, match="not a path inside"):
        get(url, place, digest=sha256(data), bytes=None)
    assert [path.name for path in place.parent.iterdir()] == ["videos.zip"]


def test_no_tool_for_a_rar_is_said_before_anything_is_fetched(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    served = Served(b"Rar!")
    with (
        serving(a_rar=served) as url,
        pytest.raises(InputError, match=r"No tool on this machine unpacks a\.rar\. Inst"),
    ):
        get(url, place, Archive(f"{url}a.rar", "md5:0"))
    assert served.asked == []


def test_what_is_offered() -> None:
    assert offered("ucf101:/data/UCF-101") == (OFFERS["ucf101"], Path("/data/UCF-101"))
    for address in ("ucf101:", "/data/UCF-101", "kinetics:/data/k400", "ucf101"):
        with pytest.raises(InputError, match=r"cannot be downloaded\. Name what .* are ucf101, miniucf, hmdb51\."):
            offered(address)


@pytest.mark.parametrize("kind", OFFERS)
def test_an_offer_holds_together(kind: str) -> None:
    made = OFFERS[kind]
    for archive in made.archives:
        assert re.fullmatch(r"sha256:[0-9a-f]{64}|md5:[0-9a-f]{32}", archive.digest)
        assert archive.url.startswith("https://")
        assert archive.name.endswith((".zip", ".rar"))
    assert [archive.beside for archive in made.archives].count(None) == 1
    assert all((made.title, made.page, made.terms, made.citation))
