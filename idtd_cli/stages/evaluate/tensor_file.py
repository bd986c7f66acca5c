"""A file of torch.save → tensors and plain containers. Nothing in it is run, and it takes no more than its own size.

`weights_only` runs no code, but it makes what it is told to: an array of terabytes by its length alone, or a key that
takes for ever to compare, out of a tuple of tuples. So the pickle is read first, and has to consist of what torch.save
writes for tensors, texts, numbers, lists, tuples and dictionaries.
"""

from __future__ import annotations

import pickle
import pickletools
import struct
import zipfile
from pathlib import Path
from typing import Any

import torch

from idtd_cli.errors import InputError

#: What torch's own unpickler raises for bytes that it did not write.
_NO_TENSORS = (
    *(pickle.UnpicklingError, RuntimeError, ValueError, EOFError, LookupError, TypeError, AttributeError),
    *(AssertionError, OverflowError, MemoryError, struct.error),
)
#: What zipfile raises for bytes that are no archive.
_NO_ARCHIVE = (zipfile.BadZipFile, OSError, ValueError, RuntimeError, OverflowError, EOFError, struct.error)
#: Bytes of the pickle: it says what the tensors are, and does not hold them.
_MAX_PICKLE = 4 << 20
_PLAIN = frozenset(
    (
        *("NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE"),
        *("EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "EMPTY_LIST", "APPEND", "APPENDS"),
        *("EMPTY_DICT", "SETITEM", "SETITEMS", "PROTO", "MARK", "STOP", "GLOBAL", "REDUCE", "BINPERSID"),
        *("BINPUT", "LONG_BINPUT", "BINGET", "LONG_BINGET"),
    )
)
_CALLED = frozenset(
    ("collections OrderedDict", *(f"torch._utils _rebuild_{kind}" for kind in ("tensor_v2", "tensor_v3", "parameter")))
)
_STORED = ("Byte", "Char", "Short", "Int", "Long", "Half", "BFloat16", "Float", "Double", "Bool")
_BARE = ("uint16", "uint32", "uint64")  # kinds that have no storage of their own
_NAMED = _CALLED | {
    "torch.storage UntypedStorage",
    *(f"torch {kind}Storage" for kind in _STORED),
    *(f"torch {kind}" for kind in _BARE),
}
#: How deep tuples may lie in tuples, and how many parts all of them may have, counted where they are named again.
_DEEPEST, _PARTS = 50, 10_000_000
_AGAIN = "Write it again with torch.save, as a tensor or as {'videos': …, 'labels': …}."


def load(path: Path) -> Any:
    """What torch.save wrote.

    Raises:
        InputError: the file is missing or damaged, or holds something else than tensors and plain containers.
    """
    if not path.is_file():
        raise InputError(f"There is no {path}.", "Give the path of a .pt file: import:clips.pt.")
    try:
        with zipfile.ZipFile(path) as archive:
            pickled = _pickle(archive, path)
    except _NO_ARCHIVE as error:
        raise InputError(f"{path} is no file of torch.save ({error}).", _AGAIN) from error
    try:
        _need_plain(pickled)
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except _NO_TENSORS as error:
        raise InputError(f"{path} holds something else than tensors, or is damaged.", _AGAIN) from error


def _pickle(archive: zipfile.ZipFile, path: Path) -> bytes:
    """The pickle, out of an archive that torch's reader, which is another than Python's, sees in the same way.

    Raises:
        zipfile.BadZipFile: torch.save writes no such archive.
    """
    records, size = archive.infolist(), path.stat().st_size
    if any(record.compress_type != zipfile.ZIP_STORED for record in records):
        raise InputError(f"{path} is compressed, which torch.save never does.", _AGAIN)
    if any(record.file_size > size or record.file_size != record.compress_size for record in records):
        raise zipfile.BadZipFile("it claims to hold more than it does")
    if len({record.filename for record in records}) != len(records):
        raise zipfile.BadZipFile("it has two records of one name")
    if archive.start_dir != _list_of_records(path, size):
        raise zipfile.BadZipFile("its list of records is not where it says")
    pickles = [record for record in records if record.filename.endswith("/data.pkl")]
    if len(pickles) != 1 or pickles[0].file_size > _MAX_PICKLE:
        raise zipfile.BadZipFile("it has no pickle of a plausible size")
    return archive.read(pickles[0])


def _list_of_records(path: Path, size: int) -> int:
    """Where the end of an archive says that the list of its records is."""
    with open(path, "rb") as file:
        file.seek(max(0, size - 98))
        end = file.read().rjust(98, b"\0")
    if end[56:60] == b"PK\x06\x07":
        signature, *_, listed = struct.unpack("<4s36xQQ", end[:56])
        (where,) = struct.unpack("<8xQ", end[56:72])
        if signature != b"PK\x06\x06" or where != size - 98:
            raise zipfile.BadZipFile("its end is not where it says")
        return int(listed)
    return int(struct.unpack("<16xI", end[76:96])[0])


def _need_plain(pickled: bytes) -> None:
    """Go through a pickle as one that loads it does, without making anything: how deep and how large tuples are.

    Raises:
        pickle.UnpicklingError: it holds what is not in the file of a tensor. Other errors: it is damaged.
    """
    stack: list[tuple[str, int, int]] = []  # of each value: what it is, how deep it is, and how many parts it has
    memo: dict[int, tuple[str, int, int]] = {}
    parts = 0
    operation: pickletools.OpcodeInfo
    argument: Any
    for operation, argument, _ in pickletools.genops(pickled):
        name = operation.name
        if name not in _PLAIN or (name == "GLOBAL" and argument not in _NAMED) or (name == "PROTO" and argument != 2):
            raise pickle.UnpicklingError(f"{name} {argument}")
        if name == "LONG1" and not -(2**63) <= argument < 2**64:
            raise pickle.UnpicklingError("a number beyond measure")  # many of these can be as good as equal
        if name.endswith("BINPUT"):
            memo[argument] = stack[-1]
            continue
        if name.endswith("BINGET"):
            stack.append(memo[argument])
        else:
            taken = _taken(operation, stack)
            if name == "REDUCE" and taken[0][0] not in _CALLED:
                raise pickle.UnpicklingError(f"calls {taken[0][0]}")
            if operation.stack_after:
                inner = taken if "TUPLE" in name else []
                depth = 1 + max((depth for _, depth, _ in inner), default=0)
                kind = argument if name == "GLOBAL" else name
                stack.append((kind, depth, 1 + sum(count for _, _, count in inner)))
        if stack:
            parts += stack[-1][2]
            if stack[-1][1] > _DEEPEST or parts > _PARTS:
                raise pickle.UnpicklingError("tuples beyond measure")


def _taken(operation: pickletools.OpcodeInfo, stack: list[tuple[str, int, int]]) -> list[tuple[str, int, int]]:
    """The values that an operation takes from the stack: those after a mark, and those before it."""
    before, taken = len(operation.stack_before), []
    if pickletools.stackslice in operation.stack_before:
        while (value := stack.pop())[0] != "MARK":
            taken.append(value)
        before -= 2
    for _ in range(before):
        taken.append(stack.pop())
    return taken[::-1]
