from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from idtd_cli import recipe
from idtd_cli.errors import InputError
from tests import tiny
from tests.recipe.refusal import refused


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
        ("ipc=2", "ipc: unknown key; did you mean distill.ipc?"),
        ("batch_real=2", "batch_real: unknown key; did you mean distill.batch_real?"),
        ("step_size=2", "step_size: unknown key; did you mean experts.fit.step_size, distill.dc.step_size, "),
        ("distil.ipc=1", "distil: unknown key; did you mean distill?"),
        ("distill=5", "distill: is a section with keys of its own, and no value (given: 5)"),
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


def test_an_override_is_blamed_for_what_it_says_and_the_file_for_the_rest(path: Path) -> None:
    path.write_text(yaml.safe_dump(tiny.settings()))
    assert f"{path} with --set ipc=2 has an error:" in refused(path, "distill.steps=9", "ipc=2")
    assert f"{path} with --set evaluate.student.widths=[4] has an error:" in refused(
        path, "evaluate.student.widths=[4]"
    )
    assert f"{path} with --set distill=2 has an error:" in refused(path, "distill=2")
    path.write_text(yaml.safe_dump(tiny.settings(distill__ipc=0)))
    assert f"{path} has an error:" in refused(path, "distill.steps=9")


def test_a_name_that_is_nearly_one(path: Path) -> None:
    with pytest.raises(
        InputError, match=r"There is no recipe dmeo. Did you mean demo\? Give the path of a YAML file, or"
    ):
        recipe.load("dmeo")


@pytest.mark.parametrize("name", ["nothing", "missing.yaml", "missing.yml", ""])
def test_no_such_recipe(name: str) -> None:
    with pytest.raises(InputError, match=f"There is no recipe {name}.* or one of: .*demo"):
        recipe.load(name)


def test_what_is_written_twice_is_refused_and_not_lost(path: Path) -> None:
    for arms in ("{a: {}, a: {distill.ipc: 2}}", "{1: {}, '1': {}}"):
        path.write_text(f"name: x\ngrid:\n  arms: {arms}\n")
        assert "is there twice" in refused(path)
        path.write_text("name: x\n")
        assert "not readable as YAML" in refused(path, f"grid.arms={arms}")
    path.write_text("name: x\ndistill: &d {ipc: 2}\ngrid: {arms: {a: {distill: {<<: *d, ipc: 3}}}}\n")
    assert recipe.load(path).cells()[0].recipes[0].distill.ipc == 3


def test_a_recipe_may_say_only_what_differs_from_its_base(path: Path) -> None:
    path.write_text(yaml.safe_dump(tiny.settings(description="tiny", grid={"axes": {"distill.ipc": [1, 2]}})))
    child = path.with_name("child.yaml")
    child.write_text("name: child\nbase: r.yaml\ndistill: {idtd: {pool: {step_size: 0.3}}}\n")
    loaded = recipe.load(child)
    expected = tiny.recipe(name="child", distill__idtd__pool__step_size=0.3)
    assert loaded.to_yaml() == expected.to_yaml()
    assert not loaded.has_grid  # a table belongs to the file that has it
    assert recipe.load(child, ["distill.ipc=2"]).distill.ipc == 2


@pytest.mark.parametrize(
    ("base", "message"),
    [
        ("nowhere", "There is no recipe nowhere, the base of "),
        ("nowhere.yaml", "nowhere.yaml, the base of "),
        ("r.yaml", "r.yaml is its own base"),
    ],
)
def test_a_base_that_is_none_is_refused(path: Path, base: str, message: str) -> None:
    path.write_text(f"name: child\nbase: {base}\n")
    with pytest.raises(InputError) as raised:
        recipe.load(path)
    assert message in raised.value.message


BOMB = "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9) if n else 'x'}]" for n in range(12))

MERGES = "m0: &m0 {x: 1}\n" + "\n".join(f"m{n}: &m{n} {{<<: [{', '.join([f'*m{n - 1}'] * 9)}]}}" for n in range(1, 12))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (BOMB, "more than 100000 values"),
        (MERGES, "more than 100000 values"),
        ("name: &a [*a]", "part of itself"),
        ("name: !!bool x", "this is no bool"),
        ("name: !!int ''", "this is no int"),
        ("name: !!timestamp x", "this is no timestamp"),
        ("name: 2020-99-99", "this is no timestamp"),
        ('name: "\\ud800"', "this is no str"),
        ("name: !!binary aGk=", "the tag tag:yaml.org,2002:binary means nothing here"),
        ("name: !!python/object/apply:os.system [id]", "python/object/apply:os.system means nothing here"),
        (f"distill: {{ipc: 0x{'f' * 5000}}}", "beyond all measure"),
        ("name: x\nexpect: [{colour: red}]", "expect.0.colour: unknown key"),
        (f"name: x\nbase: {'a' * 5000}.yaml", "There is no recipe "),
        (f"name: x\nmethods: [{', '.join(map(str, range(80)))}]", "and 31 more"),
    ],
    ids=range(14),
)  # fmt: skip
def test_hostile_yaml_is_refused_at_once(path: Path, text: str, says: str) -> None:
    path.write_text(text)
    assert says in refused(path)
