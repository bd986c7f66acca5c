from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from idtd_cli import recipe
from idtd_cli.errors import InputError
from idtd_cli.recipe import Recipe
from idtd_cli.students import registry
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


@pytest.mark.parametrize("name", sorted(recipe.shipped()))
def test_every_shipped_recipe_can_be_built(name: str) -> None:
    """Each network of each of its cells takes the clips of that cell."""
    loaded = recipe.load(name)
    every = [cell.recipes[0] for cell in loaded.cells()] if loaded.has_grid else [loaded]
    used = {(one.prepare.clip, network) for one in every for network in (one.distill.network, one.evaluate.student)}
    for clip, network in used:
        task = registry.Task(400, clip.frames, clip.height, clip.width)
        with torch.device("meta"):
            registry.STUDENTS[network.name](network, task)


def test_a_figure_that_nobody_measured_is_expected_of_nobody() -> None:
    for name in recipe.shipped():
        for one in recipe.load(name).expect:
            assert (one.top1 is None) == (one.source == "not measured yet"), name


def _paths(section: dict[str, Any], prefix: str = "") -> list[str]:
    found = []
    for key, value in section.items():
        found += _paths(value, f"{prefix}{key}.") if isinstance(value, dict) else [prefix + key]
    return found


def test_a_method_named_twice_is_refused(path: Path) -> None:
    assert "methods names one twice: idtd, idtd" in refused(path, "methods=[idtd, idtd]")


def test_demo_is_shipped() -> None:
    assert "demo" in recipe.shipped()


def test_a_protocol_gives_the_keys_that_it_has_and_leaves_the_others(path: Path) -> None:
    plain = recipe.load(path).evaluate
    named = recipe.load(path, ["evaluate.protocol=idtd", "evaluate.full_students=7"]).evaluate
    assert (named.students, named.full_students, named.scoring.views, named.plain) == (5, 7, 3, True)
    assert (named.student, named.fit) == (plain.student, plain.fit)
    content = tiny.settings(evaluate__protocol="idtd", evaluate__full_students=7)
    del content["evaluate"]["students"]
    path.write_text(yaml.safe_dump(content))
    assert recipe.load(path).evaluate == named


def test_a_protocol_is_known_by_its_keys_not_by_a_name(path: Path) -> None:
    assert recipe.followed(recipe.load(path).evaluate) == []
    assert recipe.followed(recipe.load(path, ["evaluate.protocol=idtd"]).evaluate) == ["idtd"]
    assert recipe.followed(recipe.load(path, ["evaluate.protocol=idtd", "evaluate.students=4"]).evaluate) == []
    assert recipe.followed(recipe.load("protocols/peer-miniucf").evaluate) == ["peer-miniucf"]


def test_a_protocol_that_there_is_not_is_refused(path: Path) -> None:
    assert "There are idtd, peer-miniucf." in refused(path, "evaluate.protocol=ours")
    assert "There is no protocol ours" in refused(path, evaluate__protocol="ours")


def test_the_peers_are_followed_to_the_letter() -> None:
    """Figures of their code: 500 epochs and one, in batches of 256; three draws of a test clip, each right or wrong."""
    loaded = recipe.load("protocols/peer-miniucf")
    assert [loaded.evaluate.fit.updates(clips) for clips in (50, 250, 500, 6523)] == [501, 501, 1002, 13026]
    assert (loaded.prepare.clip.frames, loaded.prepare.clip.stride, loaded.prepare.clip.draws) == (16, 4, 3)
    assert (loaded.evaluate.scoring.views, loaded.evaluate.scoring.combine) == (3, "accuracy")
    assert loaded.distill.selection == "peer-best-of-test"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"evaluate__scoring": {"views": 3}}, "are the same: lower evaluate.scoring.span"),
        ({"prepare__clip__draws": 2}, "needs sampling strided"),
        ({"prepare__clip": {"frames": 4, "stored_frames": 9, "sampling": "strided", "draws": 2}}, "is not draws (2)"),
        (
            {
                "prepare__clip": {"frames": 4, "stored_frames": 8, "sampling": "strided", "draws": 2},
                "evaluate__scoring": {"views": 3},
            },
            "is above the draws of a video (2)",
        ),
        ({"grid": {"arms": {"one": {}}, "figures": ["redundancy"]}}, "compares the first arm with the second"),
        ({"expect": [{"of": "herding", "top1": 0.5, "within": 0.1, "source": "me"}]}, "expect names herding"),
        ({"expect": [{"of": "idtd", "at": {"ipc": 1}, "top1": 0.5, "within": 0.1, "source": "me"}]}, "expect names"),
        ({"expect": [{"of": "idtd", "top1": 0.5, "source": "me"}]}, "go together"),
        ({"evaluate__across": ["convnet3d"]}, "names an architecture twice"),
        ({"evaluate__across": ["cnn-gru", "cnn-gru"]}, "names an architecture twice"),
        ({"evaluate__across": ["vit"]}, "evaluate.across.0"),
    ],
)
def test_a_way_of_scoring_that_cannot_be_is_refused(path: Path, changes: dict[str, Any], words: str) -> None:
    assert words in refused(path, **changes)


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
    assert "distill.ipc: " in refused(path, f"distill.ipc={value}")


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


GRID = {
    "seeds": 2,
    "axes": {"distill.ipc": [1, 5], "frames": {8: {"prepare.clip.frames": 8}, "4": {}}},
    "arms": {"whole method": {}, "K = 1": {"distill.idtd.segments": 1}, "nine": {"evaluate": {"students": 9}}},
}


def test_a_grid_has_a_cell_for_every_arm_at_every_place() -> None:
    cells = tiny.recipe(grid=GRID).cells()
    assert [str(cell) for cell in cells[:4]] == [
        "whole method, ipc 1, frames 8",
        "K = 1, ipc 1, frames 8",
        "nine, ipc 1, frames 8",
        "whole method, ipc 1, frames 4",
    ]
    assert len({str(cell) for cell in cells}) == len(cells) == 3 * 2 * 2
    assert cells[-1].place == {"distill.ipc": "5", "frames": "4"}


def test_each_recipe_of_a_cell_is_the_recipe_with_its_changes_and_a_seed_of_its_own(path: Path) -> None:
    cell = tiny.recipe(grid=GRID, distill__seed=7).cells()[1]
    expected = [
        recipe.load(path, ["prepare.clip.frames=8", "distill.idtd.segments=1", f"distill.seed={seed}"])
        for seed in (7, 8)
    ]
    assert list(cell.recipes) == expected
    assert [one.digest() for one in cell.recipes] == [one.digest() for one in expected]


def test_a_changed_section_has_the_defaults_of_what_the_change_leaves_out() -> None:
    nine = tiny.recipe(grid=GRID).cells()[2].recipes[0]
    assert (nine.evaluate.students, nine.evaluate.full_students) == (9, 2)
    assert tiny.recipe().evaluate.full_students == 1


def test_no_digest_and_nothing_stored_depends_on_the_grid(path: Path) -> None:
    plain, gridded = tiny.recipe(), tiny.recipe(grid=GRID)
    assert (plain.has_grid, gridded.has_grid) == (False, True)
    assert gridded.digest() == plain.digest()
    assert gridded.to_yaml() == plain.to_yaml()
    assert not tiny.recipe(grid={}).has_grid


def test_without_arms_the_methods_are_the_arms() -> None:
    cells = tiny.recipe(methods=["herding", "idtd"], grid={"seeds": 3}).cells()
    assert [(str(cell), cell.recipes[0].distill.method, len(cell.recipes)) for cell in cells] == [
        ("herding", "herding", 3),
        ("idtd", "idtd", 3),
    ]


def test_an_axis_is_called_by_its_last_part_where_that_is_enough() -> None:
    content = {"evaluate.fit.steps": [1], "distill.steps": [1], "distill.ipc": [1]}
    grid = tiny.recipe(grid={"axes": content}).grid
    assert [grid.short(axis) for axis in content] == ["evaluate.fit.steps", "distill.steps", "ipc"]


def test_values_are_named_as_they_are_written() -> None:
    axes = {
        "distill.network.widths": [[4, 8], [8, 8]],
        "evaluate.fit.flip": [True],
        "distill.idtd.pool.start": ["random"],
    }
    assert [list(values) for values in tiny.recipe(grid={"axes": axes}).grid.axes.values()] == [
        ["[4, 8]", "[8, 8]"], ["true"], ["random"],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ({"arms": {"a": {}, "b": {"distill.icp": 1}}}, "The cell b of the recipe tiny does not fit"),
        ({"axes": {"distill.ipc": [1, 0]}, "arms": {"a": {}}}, "The cell a, ipc 0 of the recipe tiny does not fit"),
        ({"arms": {"K = 3": {"distill.idtd.segments": 3}}}, "(4) is no multiple of distill.idtd.segments (3)"),
        ({"arms": {"a": {"distill.ipc": 1}}, "axes": {"distill.ipc": [2]}}, "distill.ipc is changed twice"),
        ({"arms": {"a": {"distill": {}}}, "axes": {"distill.ipc": [2]}}, "twice, once as part of distill"),
        ({"arms": {"a": {"name": "x"}}}, "name is no key that a grid can change"),
        ({"arms": {"a": {"methods": ["idtd"]}}}, "methods is no key that a grid can change"),
        ({"arms": {"a": {"grid.seeds": 2}}}, "grid.seeds is no key that a grid can change"),
        ({"arms": {"a": {"distill.ipc.deep": 2}}}, "ipc is a value, not a section"),
        ({"arms": {"a": {"distill.seed": (1 << 31) - 1}}, "seeds": 2}, "distill.seed: Input should be less than"),
        ({"axes": {"distill.ipc": [1, 1]}}, "grid.axes: distill.ipc has a value twice"),
        ({"axes": {"distill.ipc": []}}, "grid.axes.distill.ipc: "),
        ({"axes": {"distill.ipc": 1}}, "grid.axes.distill.ipc: "),
        ({"axes": {"arm": [1]}}, "no axis can be called arm"),
        ({"axes": [1]}, "grid.axes: "),
        ({"arms": {"a": 1}}, "grid.arms.a: "),
        ({"arms": {"": {}}}, "grid.arms."),
        ({"arms": {"a\nb": {}}}, "grid.arms."),
        ({"seeds": 0}, "grid.seeds: "),
        ({"seedz": 2}, "grid.seedz: unknown key; did you mean seeds?"),
        ({"axes": {"distill.ipc": list(range(1, 502))}}, "has 1002 cells; 1000 is the most"),
        ({"axes": {"distill.ipc": list(range(1, 101))}, "seeds": 60}, "asks for 12000 distillations; 10000 is the mos"),
        ({"arms": {True: {}}}, "the key True needs quotes"),
    ],
)  # fmt: skip
def test_a_grid_that_does_not_fit_is_refused_when_the_recipe_is_loaded(
    path: Path, grid: dict[str, Any], message: str
) -> None:
    assert message in refused(path, grid=grid)


def test_what_is_written_twice_is_refused_and_not_lost(path: Path) -> None:
    for arms in ("{a: {}, a: {distill.ipc: 2}}", "{1: {}, '1': {}}"):
        path.write_text(f"name: x\ngrid:\n  arms: {arms}\n")
        assert "is there twice" in refused(path)
        path.write_text("name: x\n")
        assert "not readable as YAML" in refused(path, f"grid.arms={arms}")
    path.write_text("name: x\ndistill: &d {ipc: 2}\ngrid: {arms: {a: {distill: {<<: *d, ipc: 3}}}}\n")
    assert recipe.load(path).cells()[0].recipes[0].distill.ipc == 3


def test_a_grid_can_be_overridden(path: Path) -> None:
    path.write_text(yaml.safe_dump(tiny.settings(grid=GRID)))
    loaded = recipe.load(path, ["grid.seeds=1", "grid.axes={}", "grid.arms={a: {}, 2: {distill.ipc: 2}}"])
    assert [str(cell) for cell in loaded.cells()] == ["a", "2"]


def test_a_recipe_may_say_only_what_differs_from_its_base(path: Path) -> None:
    path.write_text(yaml.safe_dump(tiny.settings(description="tiny", grid=GRID)))
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


def test_a_base_may_have_a_base_and_a_grid_may_be_taken_from_it(path: Path) -> None:
    middle, child = path.with_name("middle.yaml"), path.with_name("child.yaml")
    middle.write_text(
        "name: middle\nbase: r.yaml\ndistill: {ipc: 2}\ngrid: {arms: {one: {}, two: {distill.steps: 0}}}\n"
    )
    child.write_text("name: child\nbase: middle.yaml\ndistill: {seed: 3}\n")
    assert not recipe.load(child).has_grid
    child.write_text("name: child\nbase: middle.yaml\ndistill: {seed: 3}\ngrid: base\n")
    loaded = recipe.load(child)
    assert (loaded.name, loaded.distill.ipc, loaded.distill.seed, list(loaded.arms)) == ("child", 2, 3, ["one", "two"])
    assert loaded.prepare == recipe.load(path).prepare
    middle.write_text("name: middle\nbase: child.yaml\n")
    with pytest.raises(InputError, match="is its own base, by way of"):
        recipe.load(child)


def test_flat_has_every_key_once() -> None:
    content = tiny.recipe()
    assert set(recipe.flat(content)) == set(_paths(content.model_dump()))
    assert recipe.flat(content.distill)["idtd.pool.step_size"] == 0.2


def test_a_recipe_is_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        tiny.recipe().distill.ipc = 5  # type: ignore[misc]


def test_the_best_on_validation_needs_validation(path: Path) -> None:
    message = refused(path, "distill.selection=best-on-validation")
    assert "distill: selection best-on-validation needs validate_every above 0" in message
    recipe.load(path, ["distill.selection=best-on-validation", "distill.validate_every=50"])


def test_bfloat16_is_for_distribution_matching(path: Path) -> None:
    message = refused(path, "distill.precision=bfloat16", "distill.matching=dc")
    assert "distill: precision bfloat16 goes with matching dm alone, not with dc" in message
