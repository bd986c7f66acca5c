"""Files that want to break the reader: each is decoded, or rejected with a reason, and the run goes on."""

from __future__ import annotations

import multiprocessing
import os
import re
import subprocess
import threading
from collections.abc import Callable
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from idtd_cli.engines import local
from idtd_cli.engines.engine import Rejected
from idtd_cli.errors import IdtdError
from idtd_cli.video import decode, encode
from idtd_cli.video.medium import File, Medium, Member, Stills
from tests.video.making import every_frame, ffmpeg, make

#: Name → ffmpeg options of the files that bytes are changed in.
FORMS = {
    "b_frames.avi": "-c:v mpeg4 -bf 2 -g 20 -q:v 2",
    "b_frames.mp4": "-c:v libx264 -bf 3 -g 20 -pix_fmt yuv420p",
    "no_count.mkv": "-c:v libx264 -pix_fmt yuv420p",
    "stream.ts": "-c:v libx264 -pix_fmt yuv420p -g 20",
    "windows.wmv": "-c:v wmv2 -q:v 2 -g 20",
}


def mutants(folder: Path, count: int) -> list[Path]:
    """Files with bytes changed: a few or many, anywhere or at the head, where lengths and counts are; some cut off."""
    rng = np.random.default_rng(0)
    originals = [(name, np.frombuffer(make(folder / name, FORMS[name]).read_bytes(), np.uint8)) for name in FORMS]
    paths = []
    for number in range(count):
        name, data = originals[number % len(originals)]
        mutant = data.copy()[: rng.integers(1, len(data)) if number % 4 == 0 else None]
        reach = min(len(mutant), 600 if number % 3 == 0 else len(mutant))
        places = rng.integers(0, reach, rng.choice([1, 5, 40]))
        mutant[places] = rng.integers(0, 256, len(places))
        paths.append(folder / f"{number} {name}")
        paths[-1].write_bytes(mutant.tobytes())
    return paths


def cut(share: float) -> Callable[[bytes], bytes]:
    return lambda data: data[: int(len(data) * share)]


#: Name → what a good MP4 is made into.
BROKEN: dict[str, Callable[[bytes], bytes]] = {
    "empty.mp4": lambda data: b"",
    "one_byte.mp4": lambda data: data[:1],
    "header.mp4": lambda data: data[:32],
    "cut_in_half.mp4": cut(0.5),
    "no_moov.mp4": lambda data: data[: data.index(b"moov") - 4],
    "no_frames.mp4": lambda data: data[: data.index(b"mdat") + 4],
    "moov_of_noise.mp4": lambda data: data[: data.index(b"moov") + 4] + np.random.default_rng(2).bytes(500),
    "no_head.mp4": lambda data: data[len(data) // 3 :],
    "text.mp4": lambda data: b"hello\n" * 500,
    "page.mp4": lambda data: b"<!doctype html><title>404 Not Found</title>",
    "zeros.mp4": lambda data: bytes(50_000),
    "noise.avi": lambda data: np.random.default_rng(1).bytes(50_000),
    "archive.mp4": lambda data: b"PK\x03\x04" + bytes(1000),
    "program.mp4": lambda data: b"\x7fELF" + bytes(1000),
    "picture.mp4": lambda data: b"\xff\xd8\xff\xe0\x00\x10JFIF" + bytes(1000),
    "playlist.mp4": lambda data: b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n/etc/passwd\n#EXT-X-ENDLIST\n",
    "list.mp4": lambda data: b"ffconcat version 1.0\nfile /etc/passwd\n",
    "subtitles.mp4": lambda data: b"WEBVTT\n\n00:00.000 --> 00:01.000\nhello\n",
    "session.mp4": lambda data: b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n",
    "a_million_tracks.mp4": lambda data: data[:40] + data[data.index(b"moov") - 4 :] * 200,
}


def broken(folder: Path) -> list[Medium]:
    """Files broken by hand, and what is no file."""
    good = make(folder / "good.mp4").read_bytes()
    media: list[Medium] = []
    for name, spoil in BROKEN.items():
        (folder / name).write_bytes(spoil(good))
        media.append(File(folder / name))
    ffmpeg("-f", "lavfi", "-i", "sine=duration=1", str(folder / "audio.mp4"))
    make(folder / "one_frame.mp4", frames=1)
    (folder / "folder.mp4").mkdir()
    os.mkfifo(folder / "pipe.mp4")
    (folder / "loop.mp4").symlink_to(folder / "loop.mp4")
    (folder / "device.mp4").symlink_to("/dev/zero")
    names = ("audio.mp4", "one_frame.mp4", "folder.mp4", "pipe.mp4", "loop.mp4", "device.mp4", "absent.mp4")
    media += [File(folder / name) for name in names]
    (folder / "stills").mkdir()
    for number in range(9):
        (folder / "stills" / f"{number}.jpg").write_bytes(good)
    media += [Stills(folder / "stills"), Member(folder / "good.mp4", 100, 1 << 40), Member(folder / "zeros.mp4", 0, 99)]
    return media


def children() -> set[int]:
    """Processes whose parent is this one, or the server that forks the workers; those that ended unseen count, too."""
    server = multiprocessing.forkserver._forkserver._forkserver_pid  # type: ignore[attr-defined]
    found = set()
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(status.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if parent in (os.getpid(), server):
            found.add(int(status.parent.name))
    return found


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc to find processes")
@pytest.mark.parametrize("decoder", ["pyav", "decord"])
def test_no_file_stops_a_run(tmp_path: Path, decoder: str) -> None:
    if decoder == "decord":
        pytest.importorskip("decord")
    job = partial(decode.decode, clip=every_frame(8, min_frames=8), decoder=decoder)
    list(local.run(job, [File(tmp_path / "absent")], workers=1, seconds=20, memory_mb=1024))  # starts the server
    before = children()
    media = broken(tmp_path)
    media += [File(path) for path in mutants(tmp_path, 200 if decoder == "pyav" else 60)]
    results = list(local.run(job, [*media, File(tmp_path / "good.mp4")], workers=2, seconds=20, memory_mb=1024))

    assert len(results) == len(media) + 1
    assert isinstance(results[-1], decode.Clip)
    rejected = [isinstance(result, Rejected) for result in results[:-1]]
    assert sum(rejected[: len(BROKEN)]) >= 18
    assert sum(rejected) < len(media) / 2 + len(BROKEN)  # changed bytes do no such harm to most
    for medium, result in zip(media, results, strict=False):
        if isinstance(result, decode.Clip):
            assert result.clip_F3HW.shape == (8, 3, 32, 32)
            continue
        assert re.match(r"(is|has|holds|uses|cannot|needs) ", result.reason), (medium, result.reason)
        assert "Error" not in result.reason, (medium, result.reason)  # every way to fail has words of its own
        assert "\n" not in result.reason
        assert str(tmp_path) not in result.reason
    assert children() <= before


class _Asked(BaseHTTPRequestHandler):
    """Keeps what it was asked for."""

    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_error(404)

    def log_message(self, format: str, *args: object) -> None:
        pass


#: Files that name other files and addresses, by the formats of FFmpeg that follow such names.
FOLLOWED = {
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{file}\n#EXTINF:1,\n{address}\n#EXT-X-ENDLIST\n",
    "concat": "ffconcat version 1.0\nfile '{file}'\nfile '{address}'\n",
    "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
    'mediaPresentationDuration="PT1S"><Period><AdaptationSet mimeType="video/mp4"><Representation id="1" bandwidth="1">'
    "<BaseURL>{address}</BaseURL></Representation></AdaptationSet></Period></MPD>",
    "address": "{address}",
}


@pytest.mark.parametrize("decoder", ["pyav", "decord"])
@pytest.mark.parametrize("form", FOLLOWED)
def test_a_file_that_names_others_opens_none_of_them(tmp_path: Path, form: str, decoder: str) -> None:
    """Neither a file beside it, which would be a fine video, nor an address on this machine."""
    if decoder == "decord":
        pytest.importorskip("decord")
    other = make(tmp_path / "other.mp4")
    read_at = other.stat().st_atime_ns
    server = HTTPServer(("127.0.0.1", 0), _Asked)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        text = FOLLOWED[form].format(file=other, address=f"http://127.0.0.1:{server.server_port}/x.mp4")
        (tmp_path / "video.mp4").write_text(text)
        data = (tmp_path / "video.mp4").read_bytes()
        for medium in (File(tmp_path / "video.mp4"), Member(tmp_path / "video.mp4", 0, len(data))):
            with pytest.raises(decode.DecodeError, match="is no video file"):
                decode.decode(medium, every_frame(8), decoder=decoder)
        with pytest.raises(IdtdError, match="is no video file"):
            decode.read_exact(data)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert _Asked.asked == []
    assert other.stat().st_atime_ns == read_at


def test_the_encoder_reads_its_frames_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ffmpeg is started by its arguments and not by a shell, reads a pipe, and writes the one file that is named."""
    started: list[tuple[Any, dict[str, Any]]] = []
    popen = subprocess.Popen

    def recorded(arguments: Any, *more: Any, **options: Any) -> Any:
        started.append((arguments, options))
        return popen(arguments, *more, **options)

    monkeypatch.setattr(subprocess, "Popen", recorded)
    path = tmp_path / "concat:a|b; touch c.mp4"
    encode.write_lossless(path, np.zeros((2, 16, 16, 3), np.uint8), 8)
    [(arguments, options)] = started
    assert isinstance(arguments, list)
    assert not options.get("shell")
    assert [arguments[place + 1] for place, word in enumerate(arguments) if word == "-i"] == ["pipe:"]
    assert f"file:{path}" in arguments
    assert list(tmp_path.iterdir()) == [path]
