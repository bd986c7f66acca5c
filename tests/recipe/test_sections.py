from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from idtd_cli import recipe
from idtd_cli.recipe import Recipe
from tests import tiny
from tests.recipe.refusal import refused


def _paths(section: dict[str, Any], prefix: str = "") -> list[str]:
    found = []
    for key, value in section.items():
        found += _paths(value, f"{prefix}{key}.") if isinstance(value, dict) else [prefix + key]
    return found


def test_a_method_named_twice_is_refused(path: Path) -> None:
    assert "methods names one twice: idtd, idtd" in refused(path, "methods=[idtd, idtd]")


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
    assert "distill.frames (8) is no multiple of distill.idtd.segments (3)" in refused(
        path, distill__frames=8, distill__idtd__segments=3
    )
    assert "distill.frames (6) is no multiple of prepare.clip.frames (4)" in refused(path, distill__frames=6)
    message = refused(path, distill__frames=8, distill__method="pixel")
    assert "a segment has 8 frames, and networks see 4 (prepare.clip.frames): raise distill.pixel.segments" in message
    assert message.count("(given: ") == 0
    assert "evaluate.student: widths has 1 blocks, strides 2" in refused(path, evaluate__student__widths=[4])
    assert "kernel sizes must be odd" in refused(path, distill__network__kernel=[2, 3, 3])


@pytest.mark.parametrize("value", ["-1", "0", "1.5", "x", "null", "[1]", "{}", ".nan", ".inf", "true and false"])
def test_no_wrong_count_is_taken(path: Path, value: str) -> None:
    assert "distill.ipc: " in refused(path, f"distill.ipc={value}")


@pytest.mark.parametrize("value", [".nan", ".inf", "-1e-9", "fast"])
def test_no_wrong_step_size_is_taken(path: Path, value: str) -> None:
    assert "distill.pixel.step_size: " in refused(path, f"distill.pixel.step_size={value}")


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


@pytest.mark.parametrize("key", ["together", "workers"])
def test_what_is_the_machines_changes_no_digest(key: str) -> None:
    """Neither of the section nor of a recipe, and is not stored."""
    plain, other = recipe.EvaluateConfig(), recipe.EvaluateConfig.model_validate({key: 3})
    assert recipe.section_digest(plain) == recipe.section_digest(other)
    assert recipe.section_digest(plain) != recipe.section_digest(recipe.EvaluateConfig(students=3))
    assert plain == other.without_machine() != other
    assert key not in yaml.safe_load(tiny.recipe(**{f"evaluate__{key}": 3}).to_yaml())["evaluate"]
