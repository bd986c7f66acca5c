"""What release.yml asks before anything is published. CONTRIBUTING.md says how to release.

    python .github/release.py notes TAG URL      prints what CHANGELOG.md says of the version; links lead below URL
    python .github/release.py files TAG FOLDER   checks what was built: a small wheel and an sdist of the version

Exits with 1 and a sentence where a tag, the version and the changelog do not agree. Standard library alone: it runs
before anything is installed.
"""

from __future__ import annotations

import re
import runpy
import sys
from datetime import date
from pathlib import Path

ROOT = Path(__file__).parents[1]
MOST_BYTES_OF_WHEEL = 1_000_000


class ReleaseError(Exception):
    """What is to be released does not agree with itself."""


def version(tag: str, root: Path = ROOT) -> str:
    """The version that a tag releases, which is that of the package.

    Raises:
        ReleaseError: the tag is not v and the version of the package, or that is no X.Y.Z.
    """
    here: str = runpy.run_path(str(root / "idtd_cli" / "version.py"))["__version__"]
    if not re.fullmatch(r"\d+\.\d+\.\d+", here):
        raise ReleaseError(f"idtd_cli/version.py has {here}: a release has X.Y.Z.")
    if tag != f"v{here}":
        raise ReleaseError(f"The tag {tag} is not the version in idtd_cli/version.py: it has to be v{here}.")
    return here


def notes(released: str, changelog: str, url: str) -> str:
    """What a changelog says of a version, in Markdown: a line a point, as GitHub breaks lines where they end.

    Raises:
        ReleaseError: there is no such section, or it is not the newest, has no date, or says nothing.
    """
    parts = re.split(r"^## (.*)\n", changelog, flags=re.M)[1:]
    sections = dict(zip(parts[::2], parts[1::2], strict=True))
    if sections.pop("[Unreleased]", "").strip():
        raise ReleaseError("CHANGELOG.md has text under [Unreleased]: it belongs to the version that is released.")
    heading, text = next(iter(sections.items()), ("", ""))
    if not heading.startswith(f"[{released}]"):
        raise ReleaseError(f"CHANGELOG.md has no section [{released}] as its newest.")
    day = heading.removeprefix(f"[{released}] - ")
    try:
        date.fromisoformat(day)
    except ValueError as error:
        raise ReleaseError(f"CHANGELOG.md has to have ## [{released}] - YYYY-MM-DD, and not ## {heading}.") from error
    if not re.search(r"^- \S", text, re.M):
        raise ReleaseError(f"CHANGELOG.md says nothing of {released}.")
    text = re.sub(r"(?<=\S)\n {2,}(?![-*] )", " ", text)
    return re.sub(r"\]\((?![a-z]+:|#)", f"]({url.rstrip('/')}/", text).strip() + "\n"


def check_files(released: str, folder: Path) -> None:
    """Raises ReleaseError if a folder holds anything else than a small wheel and an sdist of a version."""
    wheel = f"idtd_cli-{released}-py3-none-any.whl"
    wanted = {wheel, f"idtd_cli-{released}.tar.gz"}
    found = {path.name for path in folder.iterdir()}
    if found != wanted:
        raise ReleaseError(f"{folder} holds {', '.join(sorted(found))}, and not {' and '.join(sorted(wanted))}.")
    size = (folder / wheel).stat().st_size
    if size >= MOST_BYTES_OF_WHEEL:
        raise ReleaseError(f"{wheel} has {size} bytes: it has to have less than {MOST_BYTES_OF_WHEEL}.")


def main(words: list[str]) -> int:
    if len(words) != 3 or words[0] not in ("notes", "files"):
        sys.stderr.write(__doc__ or "")
        return 2
    try:
        released = version(words[1])
        if words[0] == "notes":
            changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
            sys.stdout.write(notes(released, changelog, words[2]))
        else:
            check_files(released, Path(words[2]))
    except ReleaseError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
