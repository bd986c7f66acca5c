from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from idtd_cli.distilled import croissant
from tests.distilled import making
from tests.distilled.making import NAMES


@pytest.fixture(scope="module", params=["video", "tensor"])
def written(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("croissant") / "set"
    making.write(folder, export={"payload": request.param, "shard_mb": 0.05})
    return folder


def described(folder: Path) -> Any:
    return json.loads((folder / croissant.CROISSANT).read_text(encoding="utf-8"))


def test_it_names_every_shard_with_its_digest(written: Path) -> None:
    found = described(written)
    assert (found["@type"], found["conformsTo"]) == ("sc:Dataset", "http://mlcommons.org/croissant/1.0")
    *files, members = found["distribution"]
    paths = sorted((written / "data").iterdir())
    assert len(paths) > 1
    assert [file["contentUrl"] for file in files] == [path.relative_to(written).as_posix() for path in paths]
    assert [file["sha256"] for file in files] == [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]
    assert [file["contentSize"] for file in files] == [f"{path.stat().st_size} B" for path in paths]
    assert members["containedIn"] == [{"@id": file["@id"]} for file in files]
    matching = [name for name in making.members(written) if name.endswith(members["includes"].removeprefix("*"))]
    assert len(matching) == making.of(written).count


def test_it_names_the_classes(written: Path) -> None:
    classes, _ = described(written)["recordSet"]
    assert [(row["classes/label"], row["classes/name"]) for row in classes["data"]] == list(enumerate(NAMES))


def test_what_the_owner_knows_is_added(written: Path) -> None:
    found = croissant.describe(written, making.of(written), "x", license="CC0-1.0", url="https://example.org/x")
    assert (found["name"], found["license"], found["url"]) == ("x", "CC0-1.0", "https://example.org/x")
    assert found["recordSet"] == described(written)["recordSet"]


def test_mlcroissant_finds_no_fault_and_reads_the_clips(
    written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlcroissant = pytest.importorskip("mlcroissant", reason="mlcroissant, which is no dependency, is not installed")
    from mlcroissant._src.operation_graph.operations import extract

    monkeypatch.setattr(extract, "EXTRACT_PATH", type(extract.EXTRACT_PATH)(tmp_path))  # what it unpacks stays here
    dataset = mlcroissant.Dataset(jsonld=str(written / croissant.CROISSANT))
    assert not dataset.metadata.issues.errors
    records = {record["clips/key"].decode(): record for record in dataset.records("clips")}
    content = making.members(written)
    assert sorted(records) == sorted(name.removesuffix(".cls") for name in content if name.endswith(".cls"))
    for key, record in records.items():
        assert record["clips/label"] == int(content[f"{key}.cls"])
        assert record.get("clips/video") == content.get(f"{key}.mp4")
    assert [record["classes/label"] for record in dataset.records("classes")] == list(range(len(NAMES)))
