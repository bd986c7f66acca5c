"""Shards as nobody should make them."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from pathlib import Path


def _with(shard: Path, *members: tuple[tarfile.TarInfo, bytes], mode: str = "w") -> bytes:
    """A shard with members before its own."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode=mode) as tar, tarfile.open(shard) as source:  # type: ignore[call-overload]
        for info, data in members:
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        for info in source:
            tar.addfile(info, source.extractfile(info))
    return made.getvalue()


def _member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def _sparse() -> tuple[tarfile.TarInfo, bytes]:
    """A member of a petabyte, none of it there: GNU's form 1.0, whose map stands where the data would."""
    info = _member("a.mp4")
    facts = {"major": "1", "minor": "0", "name": "a.mp4", "realsize": "1" + "0" * 15}
    info.pax_headers = {f"GNU.sparse.{key}": value for key, value in facts.items()}
    return info, b"1\n999999999999999\n1\n".ljust(512, b"\0")


#: What is wrong → how to make it.
SPOILT: dict[str, Callable[[Path], bytes]] = {
    "symlink": lambda shard: _with(shard, (_member("a.mp4", tarfile.SYMTYPE, "/etc/passwd"), b"")),
    "hard link": lambda shard: _with(shard, (_member("a.mp4", tarfile.LNKTYPE, "../../x"), b"")),
    "device": lambda shard: _with(shard, (_member("a.mp4", tarfile.CHRTYPE), b"")),
    "folder": lambda shard: _with(shard, (_member("a", tarfile.DIRTYPE), b"")),
    "sparse": lambda shard: _with(shard, _sparse()),
    "path outside": lambda shard: _with(shard, (_member("../a.mp4"), b"x")),
    "absolute path": lambda shard: _with(shard, (_member("/tmp/a.mp4"), b"x")),
    "pickle": lambda shard: _with(shard, (_member("a.pyd"), b"\x80\x04.")),
    "pickle in two": lambda shard: _with(shard, (_member("a.mp4.pickle"), b"\x80\x04.")),
    "twice": lambda shard: _with(shard, (_member("a.cls"), b"0"), (_member("a.cls"), b"1")),
    "many members": lambda shard: _with(shard, *((_member(f"bomb{n}.cls"), b"0") for n in range(50))),
    "compressed": lambda shard: _with(shard, mode="w:gz"),
    "no tar": lambda shard: b"no tar at all" * 100,
}
