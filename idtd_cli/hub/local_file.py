"""A file that is to be on the Hub."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from idtd_cli import storage
from idtd_cli.hub.fetching import HubFile


@dataclass(frozen=True)
class LocalFile:
    """A file that is to be on the Hub: one on the disk, or bytes that were made for it."""

    content: Path | bytes
    size: int
    sha256: str

    @classmethod
    def of(cls, content: Path | bytes, sha256: str = "") -> LocalFile:
        """`sha256` may be given where it is known to be right."""
        if isinstance(content, bytes):
            return cls(content, len(content), storage.sha256_bytes(content))
        return cls(content, content.stat().st_size, sha256 or storage.sha256_file(content))

    def content_bytes(self) -> bytes:
        """All of it: for small files."""
        return self.content if isinstance(self.content, bytes) else self.content.read_bytes()

    def is_on_the_hub(self, there: HubFile | None) -> bool:
        """Whether the Hub has these very bytes, going by the digest that it keeps."""
        if there is None or there.size != self.size:
            return False
        if there.sha256:
            return there.sha256 == self.sha256
        data = self.content_bytes()
        return there.git_sha1 == hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
