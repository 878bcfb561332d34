"""What a condition says, read back as a sentence in English or Spanish, from its checked tree and the dictionary."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from membrane.dictionary import BY_NAME, CASE_FIELDS, CASE_WORDS, FEATURE_PREFIX, Value
from membrane.expressions import CASES, Node, loop_depth
from membrane.times import DAY, HOUR, format_duration
from membrane.wording import any_of, word

_PHRASES: Final[dict[str, dict[str, str]]] = {
    "en": {
        "when": "When {}.", "true": "in every case", "false": "in no case", "not": "it is not so that {}",
        "_&&_": " and ", "_||_": " or ", "_==_": "{} is {}", "_!=_": "{} is not {}", "_>_": "{} is more than {}",
        "_>=_": "{} is at least {}", "_<_": "{} is less than {}", "_<=_": "{} is at most {}", "@in": "{} is among {}",
        "_?_:_": "if {}, then {}, otherwise {}", "contains": "{} contains {}", "startsWith": "{} begins with {}",
        "endsWith": "{} ends with {}", "size": "the number of {}", "_+_": "{} plus {}", "_-_": "{} minus {}",
        "_*_": "{} times {}", "-_": "minus {}", "_[_]": "number {1} (from 0) of the {0}",
        "some": "for some of the {}, {}",
        "every": "for each of the {}, {}", "one": "for exactly one of the {}, {}", "those": "{} for which {}",
        "each": "values of {} over the {}", "its": "its {}", "of": "the {} of {}", "cases": "open cases", "it": "it",
        "feature": "the feature {}", "hour": "{} hour", "hours": "{} hours",
        "days": "{} hours ({} days)", "nothing": "nothing", "alike": "«{}» and «{}» are both so or both not",
        "unlike": "exactly one of «{}» and «{}» is so",
    },
    "es": {
        "when": "Cuando {}.", "true": "siempre", "false": "nunca", "not": "no se cumple «{}»",
        "_&&_": " y ", "_||_": " o ", "_==_": "{} es {}", "_!=_": "{} no es {}", "_>_": "{} es mayor que {}",
        "_>=_": "{} es al menos {}", "_<_": "{} es menor que {}", "_<=_": "{} es como máximo {}",
        "@in": "{} está entre {}", "_?_:_": "si {}, entonces {}, y si no, {}", "contains": "{} contiene {}",
        "startsWith": "{} empieza por {}", "endsWith": "{} termina en {}", "size": "la cantidad de {}",
        "_+_": "{} más {}", "_-_": "{} menos {}", "_*_": "{} por {}", "-_": "menos {}",
        "_[_]": "el número {1} (desde 0) de los {0}", "some": "para alguno de los {}, {}",
        "every": "para cada uno de los {}, {}",
        "one": "para exactamente uno de los {}, {}", "those": "{} para los que {}", "each": "valores de {} en los {}",
        "its": "su {}", "of": "{} de {}", "cases": "casos abiertos", "it": "este valor", "feature": "la medida {}",
        "hour": "{} hora", "hours": "{} horas", "days": "{} horas ({} días)", "nothing": "nada",
        "alike": "«{}» y «{}» se cumplen las dos o ninguna", "unlike": "se cumple exactamente una de «{}» y «{}»",
    },
}  # fmt: skip
_MIRRORED: Final = {"_<_": "_>_", "_<=_": "_>=_", "_>_": "_<_", "_>=_": "_<=_", "_==_": "_==_", "_!=_": "_!=_"}
_LOGIC: Final = frozenset({"_&&_", "_||_"})
_EQUALITY: Final = frozenset({"_==_", "_!=_"})
_TRUTHS: Final = frozenset({*_MIRRORED, *_LOGIC, "!_", "@in", "contains", "startsWith", "endsWith"})
_TRUE_OF_A_CASE: Final = frozenset(name for name, kind in CASE_FIELDS.items() if kind == "bool")


def read_back(tree: Node, language: str) -> str:
    """The sentence of a condition, `language` en or es."""
    return _PHRASES[language]["when"].format(_Reader(language, named=loop_depth(tree) > 1).say(tree))


class _Reader:
    """Says nodes in one language: conditions as clauses, values as nouns. `named`: what a loop goes over has a name."""

    def __init__(self, language: str, *, named: bool) -> None:
        self._language = language
        self._named = named
        self._phrases = _PHRASES[language]

    def say(self, node: Node) -> str:
        """A node in words."""
        return _SAYINGS[node.kind](self, node)

    def const(self, node: Node) -> str:
        if isinstance(node.value, bool):
            return self._phrases[str(node.value).lower()]
        if isinstance(node.value, str):
            return f"«{node.value}»"
        return self._number(node.value)

    def duration(self, node: Node) -> str:
        ms = int(node.value)
        if ms % HOUR:
            return format_duration(ms)
        name = "days" if ms % DAY == 0 and ms > DAY else "hour" if ms == HOUR else "hours"
        return self._phrases[name].format(ms // HOUR, ms // DAY)

    def name(self, node: Node) -> str:
        name = str(node.value)
        if name == CASES:
            return self._phrases["cases"]
        if name.startswith(FEATURE_PREFIX):
            return self._phrases["feature"].format(name.removeprefix(FEATURE_PREFIX))
        return BY_NAME[name].es if self._language == "es" else BY_NAME[name].en

    def variable(self, node: Node) -> str:
        return f"«{node.value}»" if self._named else self._phrases["it"]

    def field(self, node: Node) -> str:
        [case] = node.children
        name = str(node.value)
        said = CASE_WORDS[name][self._language] if name in CASE_WORDS else name
        plain = case.kind == "variable" and not self._named
        if node.value in _TRUE_OF_A_CASE:
            return said if plain else f"{said} ({self.say(case)})"
        return self._phrases["its" if plain else "of"].format(said, self.say(case))

    def list(self, node: Node) -> str:
        return any_of(map(self.say, node.children), self._language) if node.children else self._phrases["nothing"]

    def call(self, node: Node) -> str:
        function = str(node.value)
        if function in _LOGIC:
            return self._phrases[function].join(self._part(part) for part in _chain(node, function))
        if function == "!_":
            return self._phrases["not"].format(self._part(node.children[0]))
        if function in _MIRRORED or function == "@in":
            return self._comparison(function, *node.children)
        return self._phrases[function].format(*map(self.say, node.children))

    def loop(self, node: Node) -> str:
        """A macro over a list; each expands into a loop of its own shape."""
        among, start, _, step, _ = node.children
        if start.kind == "list":
            return self._listed(among, step)
        name = {False: "some", True: "every"}[start.value] if isinstance(start.value, bool) else "one"
        test = step.children[0] if name == "one" else step.children[1]
        those = f"{self.say(among)} («{node.value}»)" if self._named else self.say(among)
        return self._phrases[name].format(those, self.say(test))

    def _listed(self, among: Node, step: Node) -> str:
        """`filter`, `map`, and `map` of what passes a test."""
        test, grown = (step.children[0], step.children[1]) if step.value == "_?_:_" else (None, step)
        [item] = grown.children[1].children
        said = self.say(among) if test is None else self._phrases["those"].format(self.say(among), self.say(test))
        return said if item.kind == "variable" else self._phrases["each"].format(self.say(item), said)

    def _comparison(self, function: str, one: Node, other: Node) -> str:
        if one.kind in {"const", "duration"} and function in _MIRRORED:
            one, other, function = other, one, _MIRRORED[function]
        if _is_clause(one) and function in _EQUALITY:
            so = function == "_==_"
            if isinstance(other.value, bool):
                return self.say(one) if so == other.value else self._phrases["not"].format(self._part(one))
            return self._phrases["alike" if so else "unlike"].format(self.say(one), self.say(other))
        if function == "@in" and other.kind == "list" and other.children:
            function = "_==_"
        return self._phrases[function].format(self.say(one), self._value(one, other))

    def _value(self, one: Node, other: Node) -> str:
        """What a fact is compared with: the values of an enumeration have words."""
        if other.kind == "list" and other.children:
            return any_of([self._value(one, item) for item in other.children], self._language)
        if other.kind == "const" and isinstance(other.value, str) and one.kind in {"name", "field"}:
            return word(str(one.value), other.value, self._language)
        return self.say(other)

    def _part(self, node: Node) -> str:
        compound = node.kind == "loop" or (node.kind == "call" and node.value in _LOGIC | {"_?_:_"})
        return f"({self.say(node)})" if compound else self.say(node)

    def _number(self, value: Value) -> str:
        said = f"{value:.10g}" if isinstance(value, float) else str(value)
        return said.replace(".", ",") if self._language == "es" else said


_SAYINGS: Final[dict[str, Callable[[_Reader, Node], str]]] = {
    "const": _Reader.const,
    "duration": _Reader.duration,
    "name": _Reader.name,
    "variable": _Reader.variable,
    "field": _Reader.field,
    "list": _Reader.list,
    "call": _Reader.call,
    "loop": _Reader.loop,
}


def _chain(node: Node, function: str) -> list[Node]:
    if node.kind == "call" and node.value == function:
        return [part for child in node.children for part in _chain(child, function)]
    return [node]


def _is_clause(node: Node) -> bool:
    """Whether a node is true or false, so that its words say something rather than name it."""
    match node.kind:
        case "name":
            return str(node.value) in BY_NAME and BY_NAME[str(node.value)].type == "bool"
        case "field":
            return node.value in _TRUE_OF_A_CASE
        case "loop":
            return node.children[1].kind != "list"
    return node.kind == "call" and node.value in _TRUTHS
