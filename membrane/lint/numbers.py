"""Numbers that a text names, as digits or words, and those that stand behind it.

One (un, una, one) is left out: in both languages it is an article, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from membrane.dictionary import BY_NAME
from membrane.expressions import walk
from membrane.principles import Principle
from membrane.times import DAY, HOUR, MINUTE

_TENS: Final = {
    "en": ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"),
    "es": ("veinte", "treinta", "cuarenta", "cincuenta", "sesenta", "setenta", "ochenta", "noventa"),
}
_SMALL: Final = {
    "en": (
        "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen",
        "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
    ),
    "es": (
        "dos", "tres", "cuatro", "cinco", "seis", "siete", "ocho", "nueve", "diez", "once", "doce", "trece",
        "catorce", "quince", "dieciséis", "diecisiete", "dieciocho", "diecinueve",
    ),
}  # fmt: skip
_OTHERS: Final = {
    "en": {"hundred": 100, "twice": 2},
    "es": {
        "veintiuno": 21, "veintiún": 21, "veintiuna": 21, "veintidós": 22, "veintitrés": 23, "veinticuatro": 24,
        "veinticinco": 25, "veintiséis": 26, "veintisiete": 27, "veintiocho": 28, "veintinueve": 29, "cien": 100,
    },
}  # fmt: skip
_ONES: Final = {"en": "one", "es": "uno|un|una"}
_AND: Final = {"en": r"[- ]", "es": " y "}
_UNITS: Final = {
    MINUTE: "minutes?|minutos?|min",
    HOUR: "hours?|horas?|h",
    DAY: "days?|días?",
    7 * DAY: "weeks?|semanas?",
    30 * DAY: "months?|mes|meses",
    365 * DAY: "years?|años?",
}
_ANY_UNIT: Final = "|".join(_UNITS.values())


def _words(language: str) -> dict[str, int]:
    plain = {word: number for number, word in enumerate(_SMALL[language], 2)}
    tens = {word: number * 10 for number, word in enumerate(_TENS[language], 2)}
    return {**plain, **tens, **_OTHERS[language]}


def _pattern(language: str) -> re.Pattern[str]:
    small = "|".join((*_SMALL[language][:8], _ONES[language]))
    compound = rf"(?:{'|'.join(_TENS[language])}){_AND[language]}(?:{small})"
    words = "|".join(sorted(_words(language), key=len, reverse=True))
    number = rf"\d+(?:[.,]\d+)?|{compound}|{words}"
    return re.compile(
        rf"(?<![\w.])(?P<number>{number})(?:\s*(?P<percent>%)|\s+(?P<unit>{_ANY_UNIT}))?(?!\w)", re.IGNORECASE
    )


_WORDS: Final = {language: _words(language) for language in _TENS}
_PATTERNS: Final = {language: _pattern(language) for language in _TENS}


@dataclass(frozen=True, slots=True)
class Named:
    """A number in a text: `said` as it stands there, with its unit of time in ms (0: none)."""

    said: str
    number: float
    unit_ms: int = 0


def named(text: str, language: str) -> Iterator[Named]:
    """The numbers that a text names.

    >>> [(one.said, one.number) for one in named("Más de setenta y dos horas, 3 veces.", "es")]
    [('setenta y dos horas', 72.0), ('3', 3.0)]
    """
    for match in _PATTERNS[language].finditer(text):
        unit = (match["unit"] or "").lower()
        unit_ms = next((ms for ms, words in _UNITS.items() if re.fullmatch(words, unit)), 0)
        number = _number(match["number"].lower(), language)
        yield Named(match[0], number / 100 if match["percent"] else number, unit_ms)


def _number(word: str, language: str) -> float:
    if word[0].isdigit():
        return float(word.replace(",", "."))
    if word in _WORDS[language]:
        return float(_WORDS[language][word])
    tens, one = re.split(_AND[language], word, maxsplit=1)
    return float(_WORDS[language][tens] + _WORDS[language].get(one, 1))


def unfounded(principle: Principle) -> Iterator[tuple[str, Named]]:
    """What a principle's texts say, by language, and neither its condition, the names and words of its facts nor its
    obligation have: with a unit of time, as a time; else as any number, or any count of hours, days or the like."""
    times = _times(principle)
    numbers = _numbers(principle)
    counts = {ms / unit_ms for ms in times for unit_ms in _UNITS}
    for language, text in principle.text.items():
        for one in named(text, language):
            founded = one.number in numbers or (
                one.number * one.unit_ms in times if one.unit_ms else one.number in counts
            )
            if not founded:
                yield language, one


def _times(principle: Principle) -> set[float]:
    """Every time that stands behind the texts, in ms."""
    found: set[float] = {int(node.value) for node in walk(principle.condition.tree) if node.kind == "duration"}
    for fact in principle.condition.reads:
        named_by_fact = re.findall(r"(\d+)([hd])(?:_|$)", fact)
        found |= {int(count) * (HOUR if unit == "h" else DAY) for count, unit in named_by_fact}
        found |= {one.number * one.unit_ms for one in _in_dictionary(fact) if one.unit_ms}
    promise = principle.promise
    if promise is not None:
        found |= {promise.due_ms, promise.every_ms} | ({promise.at_most[1]} if promise.at_most else set())
    return found - {0}


def _numbers(principle: Principle) -> set[float]:
    """Every other number that stands behind the texts."""
    found: set[float] = set()
    for node in walk(principle.condition.tree):
        if node.kind == "const" and isinstance(node.value, int | float):
            found.add(float(node.value))
    found |= {one.number for fact in principle.condition.reads for one in _in_dictionary(fact) if not one.unit_ms}
    if principle.promise is not None and principle.promise.at_most is not None:
        found.add(float(principle.promise.at_most[0]))
    return found


def _in_dictionary(fact: str) -> list[Named]:
    return list(named(BY_NAME[fact].en, "en")) if fact in BY_NAME else []
