from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from idtd_cli import recipe
from idtd_cli.errors import InputError
from idtd_cli.recipe import Recipe
from tests import tiny


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "r.yaml"
    found.write_text(yaml.safe_dump(tiny.settings()))
    return found


def refused(path: Path, *overrides: str, **changes: Any) -> str:
    if changes:
        path.write_text(yaml.safe_dump(tiny.settings(**changes)))
    with pytest.raises(InputError) as raised:
        recipe.load(path, overrides)
    assert raised.value.exit_code == 2
    return str(raised.value)


@pytest.mark.parametrize("name", sorted(recipe.shipped()))
def test_every_shipped_recipe_loads_and_describes_itself(name: str) -> None:
    path = recipe.shipped()[name]
    loaded = recipe.load(name)
    assert loaded.name == name
    assert loaded.description
    assert recipe.load(path) == loaded


def _paths(section: dict[str, Any], prefix: str = "") -> list[str]:
    found = []
    for key, value in section.items():
        found += _paths(value, f"{prefix}{key}.") if isinstance(value, dict) else [prefix + key]
    return found


def test_a_method_named_twice_is_refused(path: Path) -> None:
    assert "methods names one twice: idtd, idtd" in refused(path, "methods=[idtd, idtd]")


def test_demo_is_shipped() -> None:
    assert "demo" in recipe.shipped()


def test_the_stored_recipe_is_the_same_recipe(path: Path, tmp_path: Path) -> None:
    loaded = recipe.load(path, ["distill.idtd.diversity=2.5e-3", "name=ünï", "evaluate.fit.weight_decay=5e-4"])
    stored = tmp_path / "stored.yaml"
    stored.write_text(loaded.to_yaml(), encoding="utf-8")
    again = recipe.load(stored)
    assert again == loaded
    assert again.digest() == loaded.digest()
    assert set(_paths(yaml.safe_load(stored.read_text(encoding="utf-8")))) == set(_paths(loaded.model_dump()))


@settings(max_examples=25)
@given(
    ipc=st.integers(1, 1 << 40),
    diversity=st.floats(0, 1e300),
    window=st.floats(0, 1),
    name=st.text(),
    widths=st.lists(st.integers(1, 500), min_size=2, max_size=2),
)
def test_any_recipe_survives_yaml(ipc: int, diversity: float, window: float, name: str, widths: list[int]) -> None:
    content = tiny.recipe(
        distill__ipc=ipc,
        distill__idtd__diversity=diversity,
        distill__augmentation={"window": window},
        evaluate__student__widths=widths,
        name=name,
    )
    again = Recipe.model_validate(yaml.safe_load(content.to_yaml()))
    assert again.digest() == content.digest()


def test_the_digest_is_of_the_settings_not_of_how_they_were_written() -> None:
    content = tiny.settings()
    turned = dict(reversed(list(content.items())))
    defaults = content | {"methods": ["idtd", "pixel"]}
    assert Recipe.model_validate(turned).digest() == Recipe.model_validate(defaults).digest() == tiny.recipe().digest()
    assert tiny.recipe(distill__ipc=2).digest() != tiny.recipe().digest()


def test_all_errors_are_named_at_once_with_their_paths(path: Path) -> None:
    message = refused(
        path,
        distill__ipc=0,
        distill__idtd__pool__scope="klass",
        evaluate__fit__step_size="fast",
        evaluate__studnets=3,
        prepare__clip__frames=99,
    )
    assert f"{path} has 5 errors:" in message
    for line in (
        "distill.ipc: Input should be greater than or equal to 1 (given: 0)",
        "distill.idtd.pool.scope: Input should be 'class' or 'dataset' (given: 'klass')",
        "evaluate.fit.step_size: ",
        "evaluate.studnets: unknown key; did you mean students?",
        "prepare.clip: stored_frames (8) is below frames (99)",
    ):
        assert message.count(line) == 1


def test_an_unknown_key_without_a_like(path: Path) -> None:
    message = refused(path, distill__zzz=1)
    assert "an error:" in message
    assert "distill.zzz: unknown key" in message
    assert "did you mean" not in message


def test_parts_that_do_not_fit_each_other(path: Path) -> None:
    assert "prepare.clip.frames (4) is no multiple of distill.idtd.segments (3)" in refused(
        path, distill__idtd__segments=3
    )
    assert "evaluate.student: widths has 1 blocks, strides 2" in refused(path, evaluate__student__widths=[4])
    assert "kernel sizes must be odd" in refused(path, distill__network__kernel=[2, 3, 3])


@pytest.mark.parametrize("value", ["-1", "0", "1.5", "x", "null", "[1]", "{}", ".nan", ".inf", "true and false"])
def test_no_wrong_count_is_taken(path: Path, value: str) -> None:
    assert "distill.steps: " in refused(path, f"distill.steps={value}")


@pytest.mark.parametrize("value", [".nan", ".inf", "-1e-9", "fast"])
def test_no_wrong_step_size_is_taken(path: Path, value: str) -> None:
    assert "distill.pixel.step_size: " in refused(path, f"distill.pixel.step_size={value}")


def test_overrides_are_yaml_and_the_last_one_counts(path: Path) -> None:
    loaded = recipe.load(
        path,
        [
            "distill.ipc=3",
            "distill.ipc=5",
            "evaluate.fit={steps: 7, batch: 8}",
            "evaluate.fit.batch=9",
            "distill.network.widths=[2, 3]",
            "distill.network.norm=none",
            "description='a=b: c'",
        ],
    )
    assert loaded.distill.ipc == 5
    assert (loaded.evaluate.fit.steps, loaded.evaluate.fit.batch) == (7, 9)
    assert loaded.distill.network.widths == (2, 3)
    assert loaded.distill.network.norm == "none"
    assert loaded.description == "a=b: c"
    assert loaded.distill.steps == tiny.STEPS


def test_overrides_may_name_a_section_that_the_file_leaves_out(path: Path) -> None:
    path.write_text("name: short\n")
    assert recipe.load(path, ["evaluate.fit.steps=3"]).evaluate.fit.steps == 3


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("distill.ipc", "--set distill.ipc is not of the form a.b=value"),
        ("=5", "is not of the form"),
        ("distill..ipc=5", "is not of the form"),
        (".distill=5", "is not of the form"),
        ("", "is not of the form"),
        ("distill.ipc=[1", "the value is not readable as YAML"),
        ("distill.ipc.deep=1", "ipc is a value, not a section"),
        ("distill.icp=1", "distill.icp: unknown key; did you mean ipc?"),
        ("distil.ipc=1", "distil: unknown key; did you mean distill?"),
        ("distill=5", "distill: Input should be"),
    ],
)
def test_bad_overrides(path: Path, override: str, message: str) -> None:
    assert message in refused(path, override)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no recipe"),
        ("- a\n", "holds no recipe"),
        ("just words", "holds no recipe"),
        ("{", "is not readable as YAML"),
        ("a: b: c", "is not readable as YAML"),
        ("name: !!python/object/apply:os.getcwd []", "is not readable as YAML"),
        ("name: \xff", "is not readable as YAML"),
        ("{}", "name: Field required"),
        ("1: 2\nname: x", "1: "),
    ],
)
def test_files_that_are_no_recipe(path: Path, text: str, message: str) -> None:
    path.write_text(text, encoding="latin-1")
    assert message in refused(path)


@pytest.mark.parametrize("name", ["nothing", "missing.yaml", "missing.yml", ""])
def test_no_such_recipe(name: str) -> None:
    with pytest.raises(InputError, match=f"There is no recipe {name}.* or one of: .*demo"):
        recipe.load(name)


def test_a_recipe_is_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        tiny.recipe().distill.ipc = 5  # type: ignore[misc]
