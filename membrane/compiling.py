"""Conditions as Python functions: the checked tree, compiled by Python's own compiler.

Only the part of the language that cannot fail is compiled (names of scalar facts, literals, comparisons, `in` a list of
literals, logic); the rest is left to the engine, which is also the oracle that the tests compare these functions with.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Final

from membrane.dictionary import BY_NAME, FEATURE_PREFIX, Value
from membrane.expressions import Node

Getter = Callable[[str], Value]
"""Reads one fact by name."""
Compiled = Callable[[Getter], bool]

_COMPARISONS: Final[dict[str, type[ast.cmpop]]] = {
    "_==_": ast.Eq,
    "_!=_": ast.NotEq,
    "_<_": ast.Lt,
    "_<=_": ast.LtE,
    "_>_": ast.Gt,
    "_>=_": ast.GtE,
}
_LOGIC: Final[dict[str, type[ast.boolop]]] = {"_&&_": ast.And, "_||_": ast.Or}
_GET: Final = "get"


class _OnlyTheEngine(Exception):
    """What the condition says cannot be said in Python with the same meaning."""


def compiled(node: Node) -> Compiled | None:
    """A Python function equal to a condition (of type bool), None where only the engine can say."""
    try:
        function = ast.Lambda(
            ast.arguments(posonlyargs=[], args=[ast.arg(_GET)], kwonlyargs=[], kw_defaults=[], defaults=[]),
            _expression(node),
        )
        # Nothing of the condition's text gets here: only literals, names as strings, and the operators above.
        code = compile(ast.fix_missing_locations(ast.Expression(function)), "<condition>", "eval")
    except (_OnlyTheEngine, RecursionError):
        return None
    made: Compiled = eval(code, {"__builtins__": {}})  # noqa: S307 - see above
    return made


def _expression(node: Node) -> ast.expr:
    match node.kind:
        case "const" | "duration":
            return ast.Constant(node.value)
        case "name" if node.value in BY_NAME or str(node.value).startswith(FEATURE_PREFIX):
            return ast.Call(_name(_GET), [ast.Constant(str(node.value))], [])
        case "call":
            return _call(str(node.value), node)
    raise _OnlyTheEngine


def _call(function: str, node: Node) -> ast.expr:
    if function == "@in":
        return _membership(*node.children)
    parts = [_expression(child) for child in node.children]
    match parts:
        case [part] if function == "!_":
            return ast.UnaryOp(ast.Not(), part)
        case [left, right] if function in _LOGIC:
            return ast.BoolOp(_LOGIC[function](), [left, right])
        case [left, right] if function in _COMPARISONS:
            return ast.Compare(left, [_COMPARISONS[function]()], [right])
        case [test, yes, no] if function == "_?_:_":
            return ast.IfExp(test, yes, no)
    raise _OnlyTheEngine


def _membership(item: Node, among: Node) -> ast.expr:
    literals = [child.value for child in among.children if child.kind == "const"]
    plain = among.kind == "list" and len(literals) == len(among.children)
    if plain and not literals:
        return ast.Constant(False)
    if not plain or len({type(value) for value in literals}) > 1:
        raise _OnlyTheEngine
    return ast.Compare(_expression(item), [ast.In()], [ast.Set([ast.Constant(value) for value in literals])])


def _name(name: str) -> ast.expr:
    return ast.Name(name, ast.Load())
