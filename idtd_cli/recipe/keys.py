"""Keys and values of a recipe, as YAML has them."""

from __future__ import annotations

from typing import Any

import yaml


class Loader(yaml.SafeLoader):
    """Plain YAML, of which nothing is lost: no key twice, and none that YAML takes for something else than a name."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            name = "<<" if key.tag == "tag:yaml.org,2002:merge" else self.construct_object(key, deep=True)
            if not isinstance(name, str | int | float) or isinstance(name, bool):
                raise yaml.constructor.ConstructorError(None, None, f"the key {name} needs quotes", key.start_mark)
            if str(name) in seen:
                raise yaml.constructor.ConstructorError(None, None, f"the key {name} is there twice", key.start_mark)
            seen.add(str(name))
        return super().construct_mapping(node, deep)


def merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """A mapping with the changes of another, key by key at every depth."""
    both = dict(base)
    for key, value in changes.items():
        inner = both.get(key)
        both[key] = merged(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return both


def put(content: dict[str, Any], key: str, value: Any) -> None:
    """Set a dotted key; sections that are not there are made."""
    *sections, last = key.split(".")
    for section in sections:
        inner = content.setdefault(section, {})
        if not isinstance(inner, dict):
            raise ValueError(f"{section} is a value, not a section")
        content = inner
    content[last] = value
