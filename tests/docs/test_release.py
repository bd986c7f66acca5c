"""What a release asks of the tag, the version, the changelog and the files that were built."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import idtd_cli

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / ".github" / "release.py"
RELEASE: dict[str, Any] = runpy.run_path(str(SCRIPT))
ReleaseError = RELEASE["ReleaseError"]

CHANGELOG = """# Changelog

## [Unreleased]

## [0.2.0] - 2026-12-01

### Added

- A thing that takes
  two lines, and [a page](docs/page.md#part) of its own.
- Another, as [others](https://example.org/) have it.
  - With a point below.

## [0.1.0] - 2026-11-25

- The first.
"""


def notes(text: str = CHANGELOG, released: str = "0.2.0") -> str:
    said: str = RELEASE["notes"](released, text, "https://example.org/blob/v0.2.0/")
    return said


def test_the_notes_are_the_section_of_the_version() -> None:
    assert notes() == (
        "### Added\n\n"
        "- A thing that takes two lines, and [a page](https://example.org/blob/v0.2.0/docs/page.md#part) of its own.\n"
        "- Another, as [others](https://example.org/) have it.\n"
        "  - With a point below.\n"
    )


def test_the_changelog_there_is_could_be_released() -> None:
    """Its newest section, dated if it has no date yet; its links lead to files that there are."""
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    _, _, newest = text.partition("\n## [Unreleased]\n")
    if newest.lstrip().startswith("## "):
        pytest.skip("nothing is there that was not released")
    said = notes(f"## [9.9.9] - 2026-12-01\n{newest}", "9.9.9")
    assert len(re.findall(r"^- ", said, re.M)) == len(re.findall(r"^- ", newest.partition("\n## [")[0], re.M))
    assert not re.search(r"^ ", said, re.M)
    links = re.findall(r"\]\(https://example\.org/blob/v0\.2\.0/([^)#]+)", said)
    assert [link for link in links if not (ROOT / link).exists()] == []


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("## [Unreleased]\n", "## [Unreleased]\n\n- Left behind.\n", r"text under \[Unreleased\]"),
        ("## [0.2.0] - 2026-12-01", "## [0.3.0] - 2026-12-01", r"no section \[0.2.0\] as its newest"),
        ("## [0.2.0] - 2026-12-01", "## [0.2.0]", "YYYY-MM-DD"),
        ("## [0.2.0] - 2026-12-01", "## [0.2.0] - 2026-13-01", "YYYY-MM-DD"),
        (CHANGELOG[CHANGELOG.index("- A thing") : CHANGELOG.index("## [0.1.0]")], "\n", "says nothing of 0.2.0"),
        (CHANGELOG, "# Changelog\n", "no section"),
    ],
)
def test_a_changelog_that_is_not_ready_is_refused(old: str, new: str, reason: str) -> None:
    assert old in CHANGELOG
    with pytest.raises(ReleaseError, match=reason):
        notes(CHANGELOG.replace(old, new))


def test_an_old_version_is_not_released_again() -> None:
    with pytest.raises(ReleaseError, match="as its newest"):
        notes(released="0.1.0")


def test_a_tag_is_the_version_of_the_package(tmp_path: Path) -> None:
    module = tmp_path / "idtd_cli" / "version.py"
    module.parent.mkdir()
    module.write_text('__version__ = "1.2.3"\n')
    assert RELEASE["version"]("v1.2.3", tmp_path) == "1.2.3"
    for tag in ("1.2.3", "v1.2.4", "v1.2.3-rc1", "refs/tags/v1.2.3"):
        with pytest.raises(ReleaseError, match=r"has to be v1\.2\.3"):
            RELEASE["version"](tag, tmp_path)
    module.write_text('__version__ = "1.2.3.dev0"\n')
    with pytest.raises(ReleaseError, match=r"X\.Y\.Z"):
        RELEASE["version"]("v1.2.3.dev0", tmp_path)


def test_files_are_a_small_wheel_and_an_sdist(tmp_path: Path) -> None:
    wheel, sdist = tmp_path / "idtd_cli-1.2.3-py3-none-any.whl", tmp_path / "idtd_cli-1.2.3.tar.gz"
    wheel.write_bytes(bytes(999_999))
    with pytest.raises(ReleaseError, match="and not idtd_cli"):
        RELEASE["check_files"]("1.2.3", tmp_path)
    sdist.write_bytes(b"")
    RELEASE["check_files"]("1.2.3", tmp_path)
    with pytest.raises(ReleaseError, match=r"and not idtd_cli-1\.2\.4"):
        RELEASE["check_files"]("1.2.4", tmp_path)
    wheel.write_bytes(bytes(1_000_000))
    with pytest.raises(ReleaseError, match="1000000 bytes"):
        RELEASE["check_files"]("1.2.3", tmp_path)


def test_it_says_in_a_sentence_what_is_wrong() -> None:
    """As the workflow calls it, without what the project needs."""

    def call(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-I", SCRIPT, *words], capture_output=True, text=True, timeout=60)

    done = call("notes", "v99.0.0", "https://example.org")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: The tag v99.0.0 is not the version in idtd_cli/version.py")
    assert done.stderr.count("\n") == 1
    assert call("files", f"v{idtd_cli.__version__}").returncode == 2
