"""Hostile files made from good ones: values, keys and bytes changed, each drawn from a seed."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Iterator
from typing import Any


def _nested(depth: int) -> Any:
    value: Any = 0
    for level in range(depth):
        value = [value] if level % 2 else {"a": value}
    return value


#: What stands where something else is expected. Text that is no JSON at all is made by `spoilt`.
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2, 3, 7, 255, 65_536, 2**31, 2**53 + 1, 2**63, 2**64, 10**30, 10**400, -(10**400)),
    *(0.5, -0.5, 1e-320, 1e308, math.inf, -math.inf, math.nan),
    *("", " ", "0", "-1", "1e9", "9" * 5000, "nan", "x", "a" * 70_000, "\0", "\r\n", "\t", "\ud800", "\u202e\u2028"),
    *("../../../../etc/passwd", "/etc/passwd", "a/../../b", "C:\\x", "~", ".", "..", "http://127.0.0.1:9/x"),
    *("\x1b]0;x\x07\x1b[2J", "%s%n", "{0}", "<script>alert(1)</script>", "$(id)", "`id`", "é跑", "²", "٣"),
    *([], [[]], [None], {}, {"": None}, {"a": {"b": {}}}, [0] * 5000, ["a"] * 300, _nested(40), _nested(600)),
)  # fmt: skip
#: Pieces of files that mean something to one reader or another.
_TOKENS = (
    *(b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"\xc3\x28", b"\xed\xa0\x80", b"\r", b"\r\n", b"\n", b"\x85", b"\x1a", b'"'),
    *(b"[" * 3000, b"{" * 50, b",", b":", b"NaN", b"-Infinity", b"1e999", b"9" * 5000, b"-", b"..", b"/", b" " * 300),
    *(b"\\ud800", b"\\u0000", b"\x1b[2J", b"!!python/object:os.system", b"&a", b"*a", b"<<", b"%", b"\t", b"\\"),
)  # fmt: skip


class Mutator:
    """Draws changes; the same seed draws the same ones."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def json(self, good: bytes) -> bytes:
        """A JSON document with some of its values and keys changed, and now and then its bytes as well."""
        try:
            content = [json.loads(good)]
        except ValueError:  # it was changed before
            return self.spoilt(good)
        try:
            for _ in range(self.random.choice((1, 1, 1, 2, 3))):
                self._change(content)
            text = json.dumps(content[0] if content else None, ensure_ascii=self.random.random() < 0.9)
        except RecursionError:  # nested in what was nested
            return self.spoilt(good)
        data = text.encode(errors="surrogatepass")
        if self.random.random() < 0.03:
            data = self._twice(data)
        return self.spoilt(data) if self.random.random() < 0.15 else data

    def spoilt(self, data: bytes) -> bytes:
        """Bytes with some changed, put in, left out, moved or cut off, or all of them in another encoding."""
        for _ in range(self.random.choice((1, 1, 2, 4))):
            data = self.random.choice(self._SPOILERS)(self, data)
        return data

    def value(self) -> Any:
        return _copied(self.random.choice(VALUES))

    def _change(self, root: Any) -> None:
        """One change somewhere in a tree of dictionaries and lists."""
        places = [*_places(root)]
        if not places:
            return
        holder, key = self.random.choice(places)
        match self.random.randrange(10):
            case 0 | 1 | 2 | 3:
                holder[key] = self.value()
            case 4:
                del holder[key]
            case 5:
                other, place = self.random.choice(places)
                holder[key] = _copied(other[place])  # a value from elsewhere in it
            case 6:
                holder[key] = [holder[key]] if self.random.random() < 0.5 else {"a": holder[key]}
            case 7 if isinstance(holder, dict):
                holder[str(self.value())[:3000]] = self.value()
            case 7:
                holder.insert(key, self.value())
            case 8:
                holder[key] = self._near(holder[key])
            case _ if isinstance(holder[key], list) and holder[key]:
                holder[key] = holder[key] * self.random.choice((0, 2, 100)) + holder[key][:1]
            case _ if isinstance(holder[key], dict) and holder[key]:
                holder[key][str(self.value())[:100]] = holder[key].pop(self.random.choice([*holder[key]]))
            case _:
                holder[key] = self.value()

    def _near(self, value: Any) -> Any:
        """Another value of the same kind."""
        match value:
            case bool():
                return not value
            case int() | float():
                return self.random.choice((value + 1, value - 1, -value, value * 10**6, value // 3, str(value)))
            case str():
                return self.random.choice(
                    (value[:-1], value + "\n", value.upper(), value[::-1], value + value, [value])
                )
        return value

    def _twice(self, data: bytes) -> bytes:
        """A key a second time, which JSON's writers never write and its readers take."""
        first = data.find(b'"')
        return data[:first] + b'"kind": 1, ' + data[first:] if data[:1] == b"{" and first > 0 else data

    def _place(self, data: bytes) -> int:
        # Heads are where lengths and counts stand.
        reach = min(len(data), self.random.choice((64, 600, 1 << 40)))
        return self.random.randrange(reach + 1)

    def flipped(self, data: bytes) -> bytes:
        """With another value in one byte or in several."""
        made = bytearray(data)
        for _ in range(self.random.choice((1, 1, 3, 30)) if made else 0):
            made[min(self._place(data), len(made) - 1)] = self.random.choice(
                (0, 1, 127, 255, self.random.randrange(256))
            )
        return bytes(made)

    def _insert(self, data: bytes) -> bytes:
        at = self._place(data)
        return data[:at] + self.random.choice(_TOKENS) + data[at:]

    def _cut(self, data: bytes) -> bytes:
        return data[: self._place(data)]

    def _leave_out(self, data: bytes) -> bytes:
        at = self._place(data)
        return data[:at] + data[at + self.random.choice((1, 4, 100, 512)) :]

    def _repeat(self, data: bytes) -> bytes:
        at, length = self._place(data), self.random.choice((1, 16, 512, 2000))
        return data[: at + length] * self.random.choice((1, 2)) + data[at:]

    def _swap(self, data: bytes) -> bytes:
        one, other = sorted((self._place(data), self._place(data)))
        length = self.random.choice((1, 8, 64, 512))
        return (
            data[:one]
            + data[other : other + length]
            + data[one + length : other]
            + data[one : one + length]
            + data[other + length :]
        )

    def _encode(self, data: bytes) -> bytes:
        text = data.decode("latin-1")
        way = self.random.choice(("utf-16", "utf-16-le", "utf-32", "utf-8-sig", "utf-7", "latin-1"))
        made = text.encode(way)
        return self.random.choice(
            (made, made, b"\xef\xbb\xbf" * 2 + data, data.replace(b"\n", b"\r\n"), data.replace(b"\n", b"\r"))
        )

    _SPOILERS: tuple[Callable[[Mutator, bytes], bytes], ...] = (
        flipped, flipped, flipped, _insert, _insert, _cut, _leave_out, _repeat, _swap, _encode
    )  # fmt: skip


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every place in a tree: what holds it, and its key or index there."""
    if isinstance(value, dict):
        keys: Any = value
    elif isinstance(value, list):
        keys = range(min(len(value), 50))
    else:
        return
    for key in keys:
        yield value, key
        yield from _places(value[key])


def _copied(value: Any) -> Any:
    return json.loads(json.dumps(value)) if isinstance(value, dict | list) else value
