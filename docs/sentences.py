"""Troubleshooting: the sentences that say what went wrong, read from the source, with what each says to do.

Every place that makes an error is one. The source is read and not searched for a text: a message may be put together
from pieces, come from a function, or be handed down by a caller. One that cannot be followed to its words ends the
reading with its place; none is skipped in silence.
"""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import product
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "idtd_cli"
#: An error of this class, or of one below it, is shown by itself; the text of any other goes on in the sentence of one.
_SHOWN = "IdtdError"
#: What stands in a sentence for a thing that has a dull name in the code.
_NAMES = {"error": "REASON", "strerror": "REASON", "msg": "REASON", "why": "REASON", "args": "REASON"}
_Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Sentence:
    """What a user may read, with capitals for what differs from one time to the next."""

    module: str  #: sources/folder.py
    line: int
    message: str
    hints: tuple[str, ...]  #: what to do; several where it depends, none where nothing is said
    kind: str  #: the class of the error; "complain" of what the command line says itself

    @property
    def repeats(self) -> bool:
        """Whether all of its words are another sentence's, which has its entry."""
        return not any(letter.islower() for letter in self.message)


class UnfollowedError(Exception):
    """A message, a hint or an error of which the words cannot be told."""


def page(text: str, source: Source | None = None) -> str:
    """A page with the sentences written between its marks.

    A mark names the modules and folders of which it has the sentences, or `others`; of several names that fit, the
    longest has them.
    """
    source = source or the_package()
    named = [name for marked in _MARKED.finditer(text) for name in marked["names"].split()]
    of: dict[str, list[Sentence]] = {}
    for sentence in source.sentences():
        if not sentence.repeats:
            fitting = [name for name in named if sentence.module.startswith(name)]
            of.setdefault(max(fitting, key=len, default="others"), []).append(sentence)

    def written(marked: re.Match[str]) -> str:
        here = [sentence for name in marked["names"].split() for sentence in of.get(name, ())]
        shown = [each for each in here if source.is_shown(each.kind) or each.kind == "complain"]
        inner = [each for each in here if each not in shown]
        lists = [_entries(shown), _REASONS if shown and inner else "", _entries(inner)]
        return "\n\n".join(part for part in (marked["begin"], *lists, "<!-- end -->") if part)

    return _MARKED.sub(written, text)


@cache
def the_package() -> Source:
    """The source of idtd."""
    return Source(PACKAGE)


_MARKED = re.compile(r"(?P<begin><!-- sentences of (?P<names>[^>]*) -->)(?:(?!<!--).)*<!-- end -->", re.DOTALL)
_REASONS = "Reasons that stand in such a sentence:"


def _entries(sentences: list[Sentence]) -> str:
    lines = []
    for each in sentences:
        failed = " *(exit code 1)*" if each.kind == _SHOWN else ""
        lines.append(f"- **{_escaped(each.message)}** {_escaped(' Or: '.join(each.hints))}".rstrip() + failed)
    return "\n".join(dict.fromkeys(lines))


def _escaped(text: str) -> str:
    """For Markdown, but for what is code."""
    parts = text.split("`")
    return "`".join(
        part if number % 2 else re.sub(r"([\\*_\[\]<>#|])", r"\\\1", part) for number, part in enumerate(parts)
    )


class Module:
    """A file of the package, and what its names stand for."""

    def __init__(self, path: Path, root: Path) -> None:
        self.name = path.relative_to(root).as_posix()
        self.tree = ast.parse(path.read_text(encoding="utf-8"))
        self.nodes: list[ast.AST] = [self.tree]
        self.parents: dict[ast.AST, ast.AST] = {}
        for node in self.nodes:  # which grows on the way
            children = list(ast.iter_child_nodes(node))
            self.nodes += children
            self.parents.update(dict.fromkeys(children, node))
        self.constants = dict(_assigned(self.tree.body))
        self.dotted = ".".join((root.name, *path.relative_to(root).with_suffix("").parts)).removesuffix(".__init__")
        #: Name → the module that it is imported from.
        self.imports = {
            alias.name: node.module or ""
            for node in self.nodes
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }
        self.calls: dict[str, list[ast.Call]] = {}  #: by the name that is called
        for node in self.nodes:
            if isinstance(node, ast.Call):
                self.calls.setdefault(_last(node.func), []).append(node)
        self._assigned: dict[_Function, dict[str, list[ast.expr]]] = {}

    def assigned(self, function: _Function) -> dict[str, list[ast.expr]]:
        """Name → all that it is given in a function."""
        if function not in self._assigned:
            found = self._assigned.setdefault(function, {})
            for name, value in _assigned(ast.walk(function)):
                found.setdefault(name, []).append(value)
        return self._assigned[function]

    def scopes(self, node: ast.AST) -> Iterator[_Function]:
        """The functions around a node, from the inside out."""
        while node in self.parents:
            node = self.parents[node]
            if isinstance(node, _Function):
                yield node

    def place(self, node: ast.AST) -> str:
        return f"{self.name}:{getattr(node, 'lineno', '?')}: {ast.unparse(node)[:200]}"


@dataclass(frozen=True)
class Source:
    """The package as text."""

    root: Path

    @cached_property
    def modules(self) -> dict[str, Module]:
        return {m.name: m for m in (Module(path, self.root) for path in sorted(self.root.rglob("*.py")))}

    @cached_property
    def functions(self) -> dict[str, list[tuple[Module, _Function]]]:
        """Name → functions and methods that are called so."""
        found: dict[str, list[tuple[Module, _Function]]] = {}
        for module in self.modules.values():
            for node in module.nodes:
                if isinstance(node, _Function):
                    found.setdefault(node.name, []).append((module, node))
        return found

    @cached_property
    def bases(self) -> dict[str, list[str]]:
        """Each class of an error in the package, and what it is made from."""
        classes = {
            node.name: [_last(base) for base in node.bases]
            for module in self.modules.values()
            for node in module.nodes
            if isinstance(node, ast.ClassDef)
        }
        return {name: bases for name, bases in classes.items() if _is_error(name, classes)}

    def is_shown(self, kind: str) -> bool:
        return kind == _SHOWN or any(map(self.is_shown, self.bases.get(kind, ())))

    def sentences(self) -> list[Sentence]:
        """Every sentence, in the order of the source.

        Raises:
            UnfollowedError: the words of one cannot be told.
        """
        found = [each for module in self.modules.values() for each in self._of(module)]
        return sorted(dict.fromkeys(found), key=lambda each: (each.module, each.line))

    def _of(self, module: Module) -> Iterator[Sentence]:
        told = {*self.bases, "complain"}
        if module.name.startswith("recipe/"):  # its ValueErrors go on in a sentence: "RECIPE: KEY: REASON."
            told.add("ValueError")
        for kind in sorted(told & module.calls.keys()):
            for node in module.calls[kind]:
                for message, hint in self._arguments(module, node):
                    hints = tuple(dict.fromkeys(self._words(module, hint))) if hint else ()
                    for words in self._words(module, message):
                        sentence = Sentence(module.name, node.lineno, words, hints, kind)
                        if sentence.repeats and not self._carries_another(module, message):
                            raise UnfollowedError(f"no words of its own: {module.place(node)}")
                        yield sentence

    def _carries_another(self, module: Module, message: ast.expr) -> bool:
        """Whether it repeats what another error says, which is read where that one is made."""
        names = [node for node in ast.walk(message) if isinstance(node, ast.Name)]
        given = [value for name in names for _, value in self._origins(module, name, name.id)]
        return any(
            isinstance(node, ast.Attribute) and node.attr in ("message", "reason")
            for expression in (message, *given)
            for node in ast.walk(expression)
        )

    def _arguments(self, module: Module, call: ast.Call) -> Iterator[tuple[ast.expr, ast.expr | None]]:
        by_name = {keyword.arg: keyword.value for keyword in call.keywords}
        given = [*call.args, *(by_name.pop(name) for name in ("message", "hint") if name in by_name)]
        if by_name:
            raise UnfollowedError(module.place(call))
        match given:
            case [ast.Starred(value=ast.Call(func=function))]:  # complain(*told_by(error))
                for _, value in self._returned(module, _last(function)):
                    if not isinstance(value, ast.Tuple) or len(value.elts) != 2:
                        raise UnfollowedError(module.place(call))
                    yield value.elts[0], value.elts[1]
            case [message] | [message, _] if not isinstance(message, ast.Starred):
                yield message, given[1] if len(given) > 1 else None
            case _:
                raise UnfollowedError(module.place(call))

    def _returned(self, module: Module, function: str) -> list[tuple[Module, ast.expr]]:
        """What a function gives that is called in a module: of several of its name, the module's own."""
        called = self.functions.get(function, [])
        return [
            (there, node.value)
            for there, definition in [each for each in called if each[0] is module] or called
            for node in ast.walk(definition)
            if isinstance(node, ast.Return) and node.value is not None and next(there.scopes(node)) is definition
        ]

    def _words(self, module: Module, expression: ast.expr) -> list[str]:
        """What an argument of an error may say."""
        return [" ".join(text.split()) for text in self._followed(module, expression, ())]

    def _followed(self, module: Module, expression: ast.expr, path: tuple[ast.AST, ...]) -> list[str]:
        if expression in path:
            raise UnfollowedError(f"leads to itself: {module.place(expression)}")
        path = (*path, expression)
        match expression:
            case ast.Constant(value=None):
                return []
            case ast.Constant() | ast.JoinedStr() | ast.BinOp():
                return self._pieces(module, expression)
            case ast.IfExp(body=body, orelse=orelse):
                return [*self._followed(module, body, path), *self._followed(module, orelse, path)]
            case ast.Attribute(attr="message" | "hint"):  # of an error that is read where it is made
                return [_placeholder(expression)]
            case ast.Name(id=name):
                origins = list(self._origins(module, expression, name))
            case ast.Attribute(value=ast.Name(id=there), attr=name):  # lists.AS_SHIPPED
                origins = [
                    (m, m.constants[name])
                    for m in self.modules.values()
                    if name in m.constants and m.dotted.rpartition(".")[2] == there
                ]
            case ast.Call(func=function):
                origins = self._returned(module, _last(function))
            case _:
                origins = []
        if not origins:
            raise UnfollowedError(module.place(expression))
        return [text for there, origin in origins for text in self._followed(there, origin, path)]

    def _origins(self, module: Module, node: ast.AST, name: str) -> Iterator[tuple[Module, ast.expr]]:
        """What a name was given: in a function around it, by the callers of one, at the top of a module."""
        for scope in module.scopes(node):
            local = module.assigned(scope).get(name, [])
            names = [argument.arg for argument in (*scope.args.posonlyargs, *scope.args.args, *scope.args.kwonlyargs)]
            if local:
                yield from ((module, value) for value in local)
                return
            if name in names:
                yield from self._given(module, scope, names, name)
                return
        if name in module.constants:
            yield module, module.constants[name]
            return
        for there in self.modules.values():
            if there.dotted == module.imports.get(name) and name in there.constants:
                yield there, there.constants[name]

    def _given(
        self, module: Module, function: _Function, names: list[str], name: str
    ) -> Iterator[tuple[Module, ast.expr]]:
        """What callers hand to a function, or leave to its default."""
        position = names.index(name) - (names[0] in ("self", "cls"))
        by_place = [*function.args.posonlyargs, *function.args.args][-len(function.args.defaults) or len(names) :]
        defaults = dict(zip((argument.arg for argument in by_place), function.args.defaults, strict=True))
        defaults |= {
            argument.arg: value
            for argument, value in zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True)
            if value is not None
        }
        for there in self.modules.values():
            for call in there.calls.get(function.name, ()):
                if self._calls(there, call.func, module, function):
                    by_name = [keyword.value for keyword in call.keywords if keyword.arg == name]
                    if given := by_name or call.args[position : position + 1]:
                        yield there, given[0]
                    elif name in defaults:
                        yield module, defaults[name]

    def _calls(self, there: Module, called: ast.expr, module: Module, function: _Function) -> bool:
        """Whether a name or `module.name` that is called is this function, as far as a name can tell."""
        if isinstance(module.parents[function], ast.ClassDef):
            return isinstance(called, ast.Attribute)
        if isinstance(called, ast.Attribute):
            return _last(called.value) == module.dotted.rpartition(".")[2]
        return there is module or there.imports.get(function.name) == module.dotted

    def _pieces(self, module: Module, expression: ast.expr, path: tuple[ast.AST, ...] = ()) -> list[str]:
        """The same inside of a text: what has no words of its own becomes a word in capitals."""
        match expression:
            case ast.Constant(value=value):
                return [str(value)]
            case ast.JoinedStr(values=values):
                return ["".join(parts) for parts in product(*(self._pieces(module, value, path) for value in values))]
            case ast.FormattedValue(value=value):
                return self._pieces(module, value, path)
            case ast.BinOp(left=left, op=ast.Add(), right=right) if _is_text(expression):
                return [
                    "".join(parts)
                    for parts in product(self._pieces(module, left, path), self._pieces(module, right, path))
                ]
            case ast.BinOp(left=left, op=ast.Div(), right=right) if not isinstance(
                getattr(right, "value", None), int | float
            ):  # a path
                return [
                    "/".join(parts)
                    for parts in product(self._pieces(module, left, path), self._pieces(module, right, path))
                ]
            case ast.IfExp(body=body, orelse=orelse):
                both = [*self._pieces(module, body, path), *self._pieces(module, orelse, path)]
                return [f"[{''.join(both)}]"] if "" in both and len(both) == 2 else both
            case ast.BoolOp(op=ast.And(), values=[_, text]) if _is_text(text):
                return [f"[{piece}]" for piece in self._pieces(module, text, path)]
            case ast.Name(id=name):
                origins = list(self._origins(module, expression, name))
                if expression not in path and len(origins) == 1 and _is_text(origins[0][1]):
                    return self._pieces(*origins[0], (*path, expression))
        return [_placeholder(expression)]

    def unaccounted(self) -> list[str]:
        """The places that raise something of which it cannot be told whether it is a sentence of these.

        What is raised is made there; made by a function, or before, and raised by its name; or an error that Python
        has, which speaks to programmers.
        """
        return [
            module.place(node)
            for module in self.modules.values()
            for node in module.nodes
            if isinstance(node, ast.Raise) and node.exc is not None and not self._is_accounted(module, node.exc, ())
        ]

    def _is_accounted(self, module: Module, raised: ast.expr, path: tuple[str, ...]) -> bool:
        if ast.unparse(raised).partition("(")[0] in _OF_OTHERS:
            return True
        match raised:
            case ast.Call(func=function) if _last(function) in self.bases or _is_builtin(_last(function)):
                return True
            case ast.Call(func=function):
                name = _last(function)
                returned = self._returned(module, name)
                return name in path or (
                    bool(returned) and all(self._is_accounted(m, value, (*path, name)) for m, value in returned)
                )
            case ast.Name(id=name) if _is_builtin(name):
                return True
            case ast.Name(id=name):
                made = [value for scope in module.scopes(raised) for value in module.assigned(scope).get(name, ())]
                if made:
                    return all(self._is_accounted(module, value, path) for value in made)
                return name in [a.arg for scope in module.scopes(raised) for a in scope.args.args]  # made by the caller
        return False


#: What is raised besides, each with the reason why it needs no entry of its own.
_OF_OTHERS = {
    "typer.Exit": "no error: the end of a command",
    "yaml.composer.ComposerError": "goes on in the sentence about a recipe that is not readable",
    "yaml.constructor.ConstructorError": "goes on in the sentence about a recipe that is not readable",
    "tarfile.ReadError": "goes on in the sentence about a tar that is not readable",
    "zipfile.BadZipFile": "goes on in the sentence about what is no file of torch.save",
    "pickle.UnpicklingError": "becomes the sentence about a file that holds something else than tensors",
    "BrokenProcessPool": "the pool is made anew",
    "refusals[0]": "of several errors, all made by decoders, the first",
    "error.cause": "what a node of a cluster raised, made where the same code raises it here",
}


def _assigned(nodes: Iterable[ast.AST]) -> Iterator[tuple[str, ast.expr]]:
    for node in nodes:
        match node:
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=value)
                | ast.NamedExpr(target=ast.Name(id=name), value=value)
            ):
                yield name, value
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                yield name, value
            case ast.Assign(targets=[ast.Tuple(elts=names)], value=ast.Tuple(elts=values)):
                yield from ((n.id, v) for n, v in zip(names, values, strict=True) if isinstance(n, ast.Name))


def _last(name: ast.expr) -> str:
    """client of hub.client."""
    return name.attr if isinstance(name, ast.Attribute) else name.id if isinstance(name, ast.Name) else ""


def _is_builtin(name: str) -> bool:
    found = getattr(builtins, name, None)
    return isinstance(found, type) and issubclass(found, BaseException)


def _is_error(name: str, classes: dict[str, list[str]]) -> bool:
    others = {other: bases for other, bases in classes.items() if other != name}
    return _is_builtin(name) or any(_is_error(base, others) for base in classes.get(name, ()))


def _is_text(expression: ast.expr) -> bool:
    match expression:
        case ast.Constant(value=str()) | ast.JoinedStr():
            return True
        case ast.Constant(value=int()):  # a limit, which is part of what is said
            return True
        case ast.IfExp(body=body, orelse=orelse):
            return _is_text(body) and _is_text(orelse)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return any(_is_text(side) and not isinstance(getattr(side, "value", ""), int) for side in (left, right))
    return False


def _placeholder(expression: ast.expr) -> str:
    match expression:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return _NAMES.get(name, name.strip("_").upper())
        case ast.Subscript(value=ast.Name() | ast.Attribute() as value) | ast.BoolOp(values=[value, *_]):
            return _placeholder(value)
        case ast.Call(func=ast.Name(id="len" | "int")) | ast.BinOp(op=ast.Sub() | ast.Div()):
            return "N"
        case ast.BinOp(left=left):
            return _placeholder(left)
    return "…"
