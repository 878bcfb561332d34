"""Conditions in CEL, checked against the dictionary of facts at load. The only module that knows the engine.

What the engine lets pass and is always wrong is refused here, too: values that an enumeration does not have, units
that `duration` does not have, ages whose due moments could not be told, functions that switch type checks off.
"""

from __future__ import annotations

import datetime as dt
import difflib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from cel_expr_python import cel
from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, duration_pb2, message_factory

from membrane import expressions
from membrane.compiling import Compiled, compiled
from membrane.dictionary import BY_NAME, CASE_FIELDS, FACTS, FEATURE_PREFIX, CaseFacts, FactSource, FactType, Value
from membrane.expressions import CASES, AgeBound, Dependence, Node, Threshold
from membrane.given import Given
from membrane.times import parse_duration

MAX_LENGTH: Final = 2_000
MAX_LOOP_DEPTH: Final = 2
FUNCTIONS: Final = frozenset(
    {"_&&_", "_||_", "!_", "_?_:_", "_==_", "_!=_", "_<_", "_<=_", "_>_", "_>=_", "@in", "_+_", "_-_", "_*_", "-_"}
    | {"size", "contains", "startsWith", "endsWith", "@not_strictly_false", "_[_]"}
)


@dataclass(frozen=True, slots=True)
class ConditionFault:
    """A fault inside a condition, at a line and column (from 1) of its text."""

    line: int
    column: int
    problem: str


@dataclass(frozen=True, slots=True)
class Condition:
    """A compiled condition: `reads` names the facts it reads, `changing` these but for features that are ages and only
    compared with literals, `ages` the comparisons of ages with literals, `thresholds` where a change of one fact may
    change it."""

    source: str
    reads: frozenset[str]
    changing: frozenset[str]
    ages: tuple[AgeBound, ...]
    thresholds: tuple[Threshold, ...]
    evaluate: Callable[[FactSource], bool | None]
    """True or False for these facts; None when the engine fails, so that the caller takes the safe side."""
    by_engine: Callable[[FactSource], bool | None]
    """The same, always by the engine: the oracle of what was compiled."""
    compiled: Compiled | None
    """The same as a function of `FactSource.get`; None where only the engine can say, which may take milliseconds."""
    position: Dependence
    """How it depends on stage and lifecycle."""
    tree: Node
    """The checked tree."""


def compile_condition(source: str, features: Iterable[str] = ()) -> Condition | tuple[ConditionFault, ...]:
    """The condition of a CEL text over the dictionary's facts and `features.<name>`, or all its faults."""
    if len(source) > MAX_LENGTH:
        return (ConditionFault(1, 1, f"a condition has at most {MAX_LENGTH} characters, came {len(source)}"),)
    names = tuple(features)
    try:
        program = _environment(names).compile(source)
    except (RuntimeError, ValueError, TypeError) as error:
        return _engine_faults(str(error), names)
    if program.return_type() != cel.Type.BOOL:
        return (ConditionFault(1, 1, f"must say true or false, not {program.return_type().name().lower()}"),)
    tree, faults = _tree(program, source)
    if not faults:
        condition = _condition(source, program, tree)
        if all(condition.by_engine(sample) is not None for sample in (Given(), Given(open_cases=(_SAMPLE_CASE,)))):
            return condition
        faults = [ConditionFault(1, 1, "fails for a customer of whom nothing is known")]
    return tuple(faults)


_SAMPLE_CASE: Final = CaseFacts("", "unknown", "", 3, "open", 0, has_eta=False, eta_missed=False, recurrences=0)


def _condition(source: str, program: Any, tree: Node) -> Condition:
    reads = expressions.facts_read(tree)
    by_engine = _engine_evaluation(program, tuple(sorted(reads)))
    function = compiled(tree)
    evaluate = by_engine if function is None else lambda facts: function(facts.get)
    ages = expressions.age_bounds(tree)
    changing = reads.difference(expressions.FEATURE_AGES) | expressions.loose_features(tree)
    thresholds, position = expressions.thresholds(tree), expressions.dependence(tree)
    return Condition(source, reads, changing, ages, thresholds, evaluate, by_engine, function, position, tree)


def _engine_evaluation(program: Any, names: tuple[str, ...]) -> Callable[[FactSource], bool | None]:
    types = [(name, BY_NAME[name].type if name in BY_NAME else "double") for name in names if name != CASES]
    with_cases = CASES in names

    def evaluate(facts: FactSource) -> bool | None:
        try:
            data: dict[str, object] = {name: _bound(facts.get(name), kind) for name, kind in types}
            if with_cases:
                data[CASES] = [_case_message(case) for case in facts.cases()]
            found = program.eval(data=data)
            # A missing value or an error comes back as a value that is truthy: only the type tells.
            return bool(found.plain_value()) if found.type() == cel.Type.BOOL else None
        except (RuntimeError, ArithmeticError, ValueError, TypeError):  # over its budget of iterations, a wild number
            return None

    return evaluate


def _bound(value: Value, kind: FactType) -> object:
    match kind:
        case "duration":
            return dt.timedelta(milliseconds=int(value))
        case "double":
            return float(value)
        case "string":
            return str(value)
    return value


# ---- the engine's environment -------------------------------------------------------------------------------------

_SCALARS: Final[dict[str, Any]] = {
    "string": descriptor_pb2.FieldDescriptorProto.TYPE_STRING,
    "int": descriptor_pb2.FieldDescriptorProto.TYPE_INT64,
    "double": descriptor_pb2.FieldDescriptorProto.TYPE_DOUBLE,
    "bool": descriptor_pb2.FieldDescriptorProto.TYPE_BOOL,
}
_CEL_TYPES: Final = {
    "string": cel.Type.STRING,
    "int": cel.Type.INT,
    "double": cel.Type.DOUBLE,
    "bool": cel.Type.BOOL,
    "duration": cel.Type.DURATION,
}
# The part of the public cel.expr.CheckedExpr that we read: message -> (field, number, type; * is repeated).
_CHECKED: Final = {
    "CheckedExpr": (("expr", 4, "Expr"), ("source_info", 5, "SourceInfo")),
    "SourceInfo": (("positions", 4, "*Position"),),
    "Position": (("key", 1, "int"), ("value", 2, "int")),
    "Expr": (
        ("id", 2, "int"),
        ("const", 3, "Constant"),
        ("ident", 4, "Ident"),
        ("select", 5, "Select"),
        ("call", 6, "Call"),
        ("list", 7, "List"),
        ("struct", 8, "Ident"),
        ("loop", 9, "Loop"),
    ),
    "Constant": (("bool", 2, "bool"), ("int", 3, "int"), ("double", 5, "double"), ("string", 6, "string")),
    "Ident": (("name", 1, "string"),),
    "Select": (("operand", 1, "Expr"), ("field", 2, "string")),
    "Call": (("target", 1, "Expr"), ("function", 2, "string"), ("args", 3, "*Expr")),
    "List": (("elements", 1, "*Expr"),),
    "Loop": (
        ("variable", 1, "string"),
        ("range", 2, "Expr"),
        ("start", 4, "Expr"),
        ("condition", 5, "Expr"),
        ("step", 6, "Expr"),
        ("result", 7, "Expr"),
    ),
}


def _file(name: str, messages: Mapping[str, Sequence[tuple[str, int, str]]]) -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(name=f"{name}.proto", package=name, syntax="proto2")
    file.dependency.append(duration_pb2.DESCRIPTOR.name)
    for message, fields in messages.items():
        declared = file.message_type.add(name=message)
        for field, number, kind in fields:
            declared.field.append(_field(name, field, number, kind))
    return file


def _field(package: str, name: str, number: int, kind: str) -> descriptor_pb2.FieldDescriptorProto:
    proto = descriptor_pb2.FieldDescriptorProto
    bare = kind.removeprefix("*")
    label = proto.LABEL_REPEATED if kind != bare else proto.LABEL_OPTIONAL
    if bare in _SCALARS:
        return proto(name=name, number=number, label=label, type=_SCALARS[bare])
    full = ".google.protobuf.Duration" if bare == "duration" else f".{package}.{bare}"
    return proto(name=name, number=number, label=label, type=proto.TYPE_MESSAGE, type_name=full)


def _pool() -> Any:
    pool: Any = descriptor_pool.DescriptorPool()
    duration = descriptor_pb2.FileDescriptorProto()
    duration.ParseFromString(duration_pb2.DESCRIPTOR.serialized_pb)
    fields = [(name, number, kind) for number, (name, kind) in enumerate(CASE_FIELDS.items(), 1)]
    for file in (duration, _file("membrane", {"Case": fields}), _file("checked", _CHECKED)):
        pool.Add(file)
    return pool


_POOL: Final[Any] = _pool()
_CaseMessage: Final[Any] = message_factory.GetMessageClass(_POOL.FindMessageTypeByName("membrane.Case"))
_CheckedExpr: Final[Any] = message_factory.GetMessageClass(_POOL.FindMessageTypeByName("checked.CheckedExpr"))


def _case_message(case: CaseFacts) -> Any:
    message = _CaseMessage(**{name: getattr(case, name) for name in CASE_FIELDS if name != "age"})
    message.age.FromMilliseconds(case.age_ms)
    return message


@lru_cache(maxsize=8)
def _environment(features: tuple[str, ...]) -> Any:
    variables = {fact.name: _CEL_TYPES[fact.type] for fact in FACTS}
    variables |= {FEATURE_PREFIX + name: cel.Type.DOUBLE for name in features}
    return cel.NewEnv(_POOL, variables=variables | {CASES: cel.Type.List(cel.Type("membrane.Case"))})


# ---- the checked tree ----------------------------------------------------------------------------------------------


class _Reader:
    """Makes `Node`s of a checked expression and notes what may not stand in a condition."""

    def __init__(self, positions: dict[int, int]) -> None:
        self._positions = positions
        self.wrong: list[tuple[int, str]] = []

    def node(self, expr: Any) -> Node:
        offset = self._positions.get(expr.id, 0)
        kind = next((field.name for field, _ in expr.ListFields() if field.name != "id"), "")
        match kind:
            case "const" if fields := expr.const.ListFields():
                return Node("const", fields[0][1], (), offset)
            case "ident":
                name = expr.ident.name
                known = name == CASES or name in BY_NAME or name.startswith(FEATURE_PREFIX)
                return Node("name" if known else "variable", name, (), offset)
            case "select":
                return Node("field", expr.select.field, (self.node(expr.select.operand),), offset)
            case "call":
                return self._call(expr.call, offset)
            case "list":
                return Node("list", "", tuple(map(self.node, expr.list.elements)), offset)
            case "loop":
                loop = expr.loop
                parts = (loop.range, loop.start, loop.condition, loop.step, loop.result)
                return Node("loop", loop.variable, tuple(map(self.node, parts)), offset)
        self.wrong.append((offset, "neither bytes, null, unsigned numbers, maps nor messages may stand in a condition"))
        return Node("const", "", (), offset)

    def _call(self, call: Any, offset: int) -> Node:
        targets = [call.target] if call.HasField("target") else []
        children = tuple(map(self.node, [*targets, *call.args]))
        if call.function == "duration":
            return self._duration(children, offset)
        if call.function not in FUNCTIONS:
            self.wrong.append((offset, f"{call.function}() may not stand in a condition"))
        return Node("call", call.function, children, offset)

    def _duration(self, arguments: tuple[Node, ...], offset: int) -> Node:
        parts = re.findall(r"(\d{1,6})(ms|s|m|h)", str(arguments[0].value))
        if not parts or arguments[0].kind != "const" or "".join(map("".join, parts)) != arguments[0].value:
            problem = 'duration() takes a literal of hours, minutes, seconds or ms such as "72h" (CEL has no days)'
            self.wrong.append((arguments[0].offset, problem))
            return Node("duration", 0, (), offset)
        return Node("duration", sum(parse_duration("".join(part)) for part in parts), (), offset)


def _tree(program: Any, source: str) -> tuple[Node, list[ConditionFault]]:
    packed = any_pb2.Any.FromString(program.serialize())
    checked = _CheckedExpr.FromString(packed.value)
    reader = _Reader({position.key: position.value for position in checked.source_info.positions})
    tree = reader.node(checked.expr)
    wrong = reader.wrong
    for literal, values in expressions.wrong_values(tree):
        wrong.append((literal.offset, _unknown("value", str(literal.value), values, every=True)))
    for age in expressions.loose_ages(tree):
        wrong.append((age.offset, "an age may only be compared with one literal duration"))
    if expressions.loop_depth(tree) > MAX_LOOP_DEPTH:
        wrong.append((tree.offset, f"macros may be nested {MAX_LOOP_DEPTH} deep at most"))
    return tree, [_at(source, offset, problem) for offset, problem in sorted(set(wrong))]


def _at(source: str, offset: int, problem: str) -> ConditionFault:
    before = source[:offset]
    return ConditionFault(before.count("\n") + 1, offset - before.rfind("\n"), problem)


_ENGINE_FAULT: Final = re.compile(r"ERROR: <input>:(\d+):(\d+): ([^\n]*)")
_UNDECLARED: Final = re.compile(r"undeclared reference to '([^']*)'")
_UNDEFINED: Final = re.compile(r"undefined field '([^']*)'")


def _engine_faults(message: str, features: tuple[str, ...]) -> tuple[ConditionFault, ...]:
    names = (*BY_NAME, CASES, *(FEATURE_PREFIX + name for name in features))
    found = [
        ConditionFault(int(line), int(column), _reworded(problem, names))
        for line, column, problem in _ENGINE_FAULT.findall(message)
    ]
    deep = "recursion" in message
    return tuple(found) or (ConditionFault(1, 1, "nested too deep" if deep else "must be a CEL expression"),)


def _reworded(problem: str, names: tuple[str, ...]) -> str:
    if match := _UNDECLARED.search(problem):
        return _unknown("fact", match[1], names)
    if match := _UNDEFINED.search(problem):
        return _unknown("field of a case", match[1], tuple(CASE_FIELDS), every=True)
    return problem.split(" expecting {", maxsplit=1)[0].removesuffix(" [INVALID_ARGUMENT]")


def _unknown(what: str, name: str, names: tuple[str, ...], *, every: bool = False) -> str:
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"; did you mean '{near[0]}'?" if near else ""
    return f"no {what} '{name}'" + hint + (f" (there are: {', '.join(names)})" if every else "")
