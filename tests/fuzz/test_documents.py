"""Every JSON, JSON-lines, CSV and YAML document that the suite reads, changed in any way."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from idtd_cli import documents, recipe, storage
from idtd_cli.distilled import SUMS, SetDocument, read_sums
from idtd_cli.distilled.other_forms import FormDocument
from idtd_cli.documents import Document
from idtd_cli.experts_folder import ExpertsDocument
from idtd_cli.prepared import PreparedDocument, PreparedSet
from idtd_cli.recipe.keys import Loader
from idtd_cli.report.document import ReportDocument
from idtd_cli.report.table import TableDocument
from idtd_cli.run_folder import METRICS, SPEED, RunDocument, RunFolder
from idtd_cli.runlog import Quiet, read_steps
from idtd_cli.stages import show
from idtd_cli.stages.demo_data import DemoDocument
from idtd_cli.stages.evaluate import scores
from tests.fuzz.mutation import Mutator
from tests.fuzz.watching import Found, Slot, attempt, cases
from tests.report import test_table

#: What reads a file of this name in a folder, and of which folder a good one is taken.
Reader = Callable[[Path], object]


def mutants(good: bytes, count: int, change: str = "json", seed: int = 0) -> Iterator[bytes]:
    """The good file, and then changed ones."""
    mutator = Mutator(seed)
    yield good
    for _ in range(count - 1):
        yield getattr(mutator, change)(good)


@pytest.fixture(scope="module")
def good(
    prepared: Path, exported: Path, experts: Path, reported: Path, videos: Path, finished: Path
) -> dict[str, Path]:
    """Each kind of folder that has a document, by the document's name."""
    folder = prepared.parent
    if not (folder / "table").exists():
        (folder / "table").mkdir()
        test_table.made(test_table.ALL).write(folder / "table")
        (folder / "form").mkdir()
        FormDocument(
            parents={"set": "0"}, form="tensors", classes=("a", "b"), segments=2, mean=(0.1, 0.2, 0.3), std=(1, 1, 1),
            temperature=None, files={"images.pt": "all"},
        ).write(folder / "form")  # fmt: skip
    return {
        PreparedDocument.FILE: prepared,
        SetDocument.FILE: exported,
        RunDocument.FILE: finished,
        ExpertsDocument.FILE: experts,
        ReportDocument.FILE: reported,
        TableDocument.FILE: folder / "table",
        FormDocument.FILE: folder / "form",
        DemoDocument.FILE: videos,
    }


def read_and_shown(kind: type[Document]) -> Reader:
    """Read as every command does, and told as `idtd show` does."""

    def read(folder: Path) -> object:
        document = documents.read(kind, folder)
        document.digest()
        return show.run(folder)

    return read


KINDS = (
    PreparedDocument, SetDocument, RunDocument, ExpertsDocument, ReportDocument, TableDocument, FormDocument,
    DemoDocument,
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.FILE)
def test_documents(good: dict[str, Path], tmp_path: Path, kind: type[Document]) -> None:
    slot = Slot(tmp_path / kind.FILE)
    read = read_and_shown(kind)

    def one(data: bytes) -> None:
        slot.put(data)
        read(tmp_path)

    found = attempt(one, mutants((good[kind.FILE] / kind.FILE).read_bytes(), cases(2000)), tmp_path)
    check(found)


def check(found: Found) -> None:
    """No case broke the reader, and both ends were seen."""
    shown = Counter(how for _, how in found.broken)
    assert not shown, [(how, next(case for case, of in found.broken if of == how)) for how in shown]
    assert found.values > 0
    assert found.refused.total() > 0
    assert found.grown < 300  # MiB


@pytest.mark.slow
@pytest.mark.parametrize("name", [METRICS, SPEED])
def test_lines_of_a_run(finished: Path, tmp_path: Path, name: str) -> None:
    """A run whose lines anybody wrote is told of, timed, and gone on with."""
    run = RunFolder(tmp_path, RunFolder.open(finished).document)
    slot = Slot(tmp_path / name)

    def one(data: bytes) -> None:
        slot.put(data)
        list(read_steps(slot.path))
        run.seconds()

    found = attempt(one, line_mutants((finished / name).read_bytes(), cases(2000)), tmp_path)
    assert found.broken == []
    assert found.values == found.cases  # what is no line of ours is left out


def line_mutants(good: bytes, count: int) -> Iterator[bytes]:
    """The good file, and then ones with a changed line, or changed bytes."""
    mutator = Mutator(0)
    lines = good.splitlines(keepends=True)
    yield good
    for number in range(count - 1):
        place = mutator.random.randrange(len(lines))
        changed = mutator.spoilt(good) if number % 4 == 0 else b""
        yield changed or b"".join([*lines[:place], mutator.json(lines[place]) + b"\n", *lines[place + 1 :]])


@pytest.mark.slow
def test_scores(reported: Path, tmp_path: Path) -> None:
    """Lines without their digests, as they were before: what is read is what says whether they are whole."""
    slot = Slot(tmp_path / scores.FILE)
    lines = [json.loads(line) for line in (reported / scores.FILE).read_bytes().splitlines()]
    keys = [line["key"] for line in lines]
    good = b"".join(
        json.dumps({name: line[name] for name in line if name != "sha256"}).encode() + b"\n" for line in lines
    )

    def one(data: bytes) -> None:
        slot.put(data)
        found = scores.Scores(tmp_path, Quiet())
        for key in filter(found.__contains__, keys):
            said = found[key].predictions
            assert said.found_VN.shape == said.place_VN.shape
            said.top(1)

    found = attempt(one, line_mutants(good, cases(1000)), tmp_path)
    assert found.broken == []
    assert found.values == found.cases


@pytest.mark.slow
def test_the_index_of_a_prepared_set(prepared: Path, tmp_path: Path) -> None:
    """Signed again each time: a checksum stops accidents, and nobody who means it."""
    folder = Path(shutil.copytree(prepared, tmp_path / "set"))
    document, index = Slot(folder / PreparedDocument.FILE), Slot(folder / "index.csv")
    good = (prepared / "index.csv").read_bytes()
    content = json.loads((prepared / PreparedDocument.FILE).read_bytes())

    def one(data: bytes) -> None:
        index.put(data)
        document.put(json.dumps(content | {"index": storage.sha256_bytes(data)}).encode())
        found = PreparedSet.open(folder)
        found.read(found.index[:3])

    found = attempt(one, table_mutants(good, b",", cases(1000)), tmp_path)
    check(found)


def table_mutants(good: bytes, comma: bytes, count: int) -> Iterator[bytes]:
    """The good file, and then ones with changed fields, lines, or bytes."""
    mutator = Mutator(0)
    rows = [line.split(comma) for line in good.splitlines()]
    yield good
    for number in range(count - 1):
        if number % 3 == 0:
            yield mutator.spoilt(good)
            continue
        made = [list(row) for row in rows]
        for _ in range(mutator.random.choice((1, 1, 2))):
            row = mutator.random.choice(made)
            place = mutator.random.randrange(len(row))
            match mutator.random.randrange(6):
                case 0 if len(row) > 1:
                    del row[place]
                case 1:
                    row.insert(place, str(mutator.value()).encode(errors="surrogatepass"))
                case 2:
                    row[:] = mutator.random.choice(rows)
                case 3:
                    other = mutator.random.choice(made)
                    row[place] = other[min(place, len(other) - 1)] if other else b""
                case _:
                    row[place] = str(mutator.value()).encode(errors="surrogatepass")
        yield b"\n".join(comma.join(row) for row in made) + mutator.random.choice((b"\n", b"", b"\n\n"))


@pytest.mark.slow
def test_checksums(exported: Path, tmp_path: Path) -> None:
    slot = Slot(tmp_path / SUMS)

    def one(data: bytes) -> None:
        slot.put(data)
        for name in read_sums(tmp_path):
            path = os.path.normpath(tmp_path / name)
            assert path.startswith(f"{tmp_path}{os.sep}"), name

    check(attempt(one, table_mutants((exported / SUMS).read_bytes(), b"  ", cases(2000)), tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["demo", "demo-table"])
def test_recipes(tmp_path: Path, name: str) -> None:
    """As YAML that says what changed JSON says, and as changed YAML."""
    (tmp_path / "base.yaml").write_text("name: base\n")
    slot = Slot(tmp_path / "recipe.yaml")
    shipped = recipe.shipped()[name].read_bytes()

    def one(data: bytes) -> None:
        slot.put(data)
        found = recipe.load(slot.path)
        yaml.safe_load(found.to_yaml())
        found.digest()

    count = cases(100)
    as_json = mutants(json.dumps(yaml.load(shipped, Loader)).encode(), count)
    check(attempt(one, (*as_json, *mutants(shipped, count, "spoilt")), tmp_path))
