"""Xet storage as the server of the tests has it: what an upload needs, after the specification of the protocol.

https://huggingface.co/docs/xet: a file is cut into chunks, chunks lie in xorbs, and a shard says of which chunks a file
consists and what its sha256 is. Nothing is known here of compression: HF_XET_XORB_COMPRESSION_POLICY=none turns it off.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

_RECORD = 48  #: bytes of every record of a shard, its head among them
_VERIFIED, _WITH_SHA256 = 1 << 31, 1 << 30


@dataclass
class Storage:
    """Xorbs by hash, in chunks; bytes that came."""

    xorbs: dict[bytes, list[bytes]] = field(default_factory=dict)
    received: int = 0

    def add_xorb(self, name: str, body: bytes) -> None:
        self.xorbs[_hash(name)] = [*_chunks(body)]
        self.received += len(body)

    def files(self, shard: bytes) -> Iterator[tuple[str, bytes]]:
        """The files that a shard announces: sha256 and content."""
        at = _RECORD
        while shard[at : at + 32] != b"\xff" * 32:
            flags, entries = struct.unpack_from("<II", shard, at + 32)
            at += _RECORD
            data = b""
            for _ in range(entries):
                size, first, end = struct.unpack_from("<III", shard, at + 36)
                piece = b"".join(self.xorbs[shard[at : at + 32]][first:end])
                assert len(piece) == size
                data += piece
                at += _RECORD
            at += _RECORD * entries * bool(flags & _VERIFIED)
            assert flags & _WITH_SHA256
            assert _hash(hashlib.sha256(data).hexdigest()) in (shard[at : at + 32], _turned(shard[at : at + 32]))
            at += _RECORD
            yield hashlib.sha256(data).hexdigest(), data


def _chunks(xorb: bytes) -> Iterator[bytes]:
    """Each has eight bytes before it: version, stored length, compression, length. What follows them is an index."""
    at = 0
    while at < len(xorb) and xorb[at] == 0:
        stored, scheme = int.from_bytes(xorb[at + 1 : at + 4], "little"), xorb[at + 4]
        assert scheme == 0, "compressed"
        yield xorb[at + 8 : at + 8 + stored]
        at += 8 + stored


def _hash(name: str) -> bytes:
    """A hash as a shard has it, from its name: eight bytes each are a number, and their order is turned."""
    return _turned(bytes.fromhex(name))


def _turned(hash: bytes) -> bytes:
    return b"".join(hash[at : at + 8][::-1] for at in range(0, 32, 8))
