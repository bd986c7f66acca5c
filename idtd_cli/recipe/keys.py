"""Keys and values of a recipe, as YAML has them."""

from __future__ import annotations

from typing import Any

import yaml

#: What a value may be. Tags for anything else, as `!!binary`, have no place in a recipe.
_TAGS = frozenset(
    f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float", "str", "timestamp", "seq", "map", "merge")
)
#: Values of a recipe, each counted as often as an alias repeats it: a few lines of aliases of aliases say billions.
_MOST_VALUES = 100_000
#: Of larger numbers some cannot be written down again.
_MOST = 2.0**127


class Loader(yaml.SafeLoader):
    """Plain YAML, of which nothing is lost: no key twice, and none that YAML takes for something else than a name."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._counts: dict[yaml.Node, int] = {}  # values of each node that is complete

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        is_alias = self.check_event(yaml.AliasEvent)
        node = super().compose_node(parent, index)
        if node is None:
            return None
        if is_alias and node not in self._counts:
            raise yaml.composer.ComposerError(None, None, "a value is part of itself", node.start_mark)
        if node.tag not in _TAGS:
            raise yaml.composer.ComposerError(None, None, f"the tag {node.tag} means nothing here", node.start_mark)
        if node not in self._counts:
            inner = node.value if isinstance(node, yaml.CollectionNode) else ()
            parts = [part for pair in inner for part in (pair if isinstance(pair, tuple) else (pair,))]
            self._counts[node] = 1 + sum(self._counts[part] for part in parts)
        if self._counts[node] > _MOST_VALUES:
            raise yaml.composer.ComposerError(None, None, f"more than {_MOST_VALUES} values", node.start_mark)
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            value = super().construct_object(node, deep)
            if isinstance(value, str):
                value.encode()  # an escape can write half a letter, which no file can hold
        except (ValueError, TypeError, LookupError, AttributeError, OverflowError) as error:
            word = node.tag.rpartition(":")[2]
            raise yaml.constructor.ConstructorError(None, None, f"this is no {word}", node.start_mark) from error
        if isinstance(value, int) and abs(value) > _MOST:
            raise yaml.constructor.ConstructorError(None, None, "a number is beyond all measure", node.start_mark)
        return value

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
