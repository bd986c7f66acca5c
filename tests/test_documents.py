from __future__ import annotations

import json
from pathlib import Path
from typing import ClassVar

import pytest

from idtd_cli import documents
from idtd_cli.documents import Document
from idtd_cli.errors import InputError
from idtd_cli.version import __version__


class Note(Document):
    KIND: ClassVar[str] = "note"
    VERSION: ClassVar[int] = 3
    FILE: ClassVar[str] = "note.json"
    COMMAND: ClassVar[str] = "idtd note OUT"

    words: tuple[str, ...]
    number: float


NOTE = Note(parents={"source": "0123"}, words=("a", "ü"), number=0.1)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = NOTE.write(tmp_path)
    assert path == tmp_path / "note.json"
    found = documents.read(Note, tmp_path)
    assert found == NOTE
    assert found.digest() == NOTE.digest()


def test_the_file_says_what_it_is(tmp_path: Path) -> None:
    content = json.loads(NOTE.write(tmp_path).read_text(encoding="utf-8"))
    assert content == {
        "kind": "note",
        "schema_version": 3,
        "created_by": f"idtd {__version__}",
        "parents": {"source": "0123"},
        "words": ["a", "ü"],
        "number": 0.1,
    }


def test_every_field_is_in_the_digest() -> None:
    changes: list[dict[str, object]] = [{"words": ("a",)}, {"number": 0.2}, {"parents": {}}, {"created_by": "x"}]
    digests = {NOTE.digest(), *(NOTE.model_copy(update=change).digest() for change in changes)}
    assert len(digests) == 5


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (None, "is no finished note: it has no note.json"),
        ("", "is not readable as JSON"),
        ("{", "is not readable as JSON"),
        ("\xff", "is not readable as JSON"),
        ("[" * 100_000, "is not readable as JSON"),
        ("[]", "does not describe a note"),
        ("{}", "does not describe a note"),
        ({"kind": "run"}, "does not describe a note"),
        ({"kind": ["note"]}, "does not describe a note"),
        ({"schema_version": 4}, "has schema version 4; this idtd reads 3"),
        ({"schema_version": None}, "has schema version None; this idtd reads 3"),
        ({"number": "many"}, "is damaged at number: "),
        ({"number": None}, "is damaged at number: "),
        ({"words": ["a", 1]}, "is damaged at words.1: "),
        ({"wrods": []}, "is damaged at wrods: "),
        ({"parents": {"source": 5}}, "is damaged at parents.source: "),
        ({"parents": {"\ud800": "x"}}, "is not readable as JSON"),
        ({"number": float("nan")}, "is not readable as JSON"),
        ({"number": 10**400}, "a number that is beyond all measure"),
    ],
)
def test_damage_is_named_with_the_command_that_helps(tmp_path: Path, damage: object, message: str) -> None:
    path = NOTE.write(tmp_path)
    if damage is None:
        path.unlink()
    elif isinstance(damage, str):
        path.write_text(damage, encoding="latin-1")
    else:
        assert isinstance(damage, dict)
        path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | damage))
    with pytest.raises(InputError) as raised:
        documents.read(Note, tmp_path)
    assert message in raised.value.message
    assert str(tmp_path) in raised.value.message
    assert "`idtd note OUT`" in raised.value.hint
    assert "\n" not in str(raised.value)
    assert raised.value.exit_code == 2


def test_a_field_that_is_missing_is_named(tmp_path: Path) -> None:
    path = NOTE.write(tmp_path)
    content = json.loads(path.read_text(encoding="utf-8"))
    del content["number"]
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match="damaged at number: Field required"):
        documents.read(Note, tmp_path)


@pytest.mark.parametrize("what", ["missing", "file"])
def test_no_folder(tmp_path: Path, what: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=f"{what} is not a folder. Make one with `idtd note OUT`"):
        documents.read(Note, tmp_path / what)
