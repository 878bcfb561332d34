"""Writes the generated parts of the documentation: `python -m docs.generate`, or `make docs`.

A part stands between `<!-- generated: NAME -->` and `<!-- end: NAME -->`; everything else is written by hand.
"""

from __future__ import annotations

import argparse
import ast
import json
import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec

from bench.quality.parts import PARTS as QUALITY_PARTS
from bench.quality.parts import RESULTS
from cli.arguments import build_parser
from membrane.defaults import IRREVERSIBLE, TABLE, default_verdict
from membrane.dictionary import CASE_ENUMS, CASE_FIELDS, FACTS, Fact
from membrane.features import REGISTRY, features, fingerprint
from membrane.principles import MONEY_KINDS, OWNERS, Effect
from membrane.record import State
from membrane.scope import DIRECTIONS, UNKNOWN_KIND
from membrane.settings import TenantSettings
from membrane.signals import MAX_SIGNAL_BYTES, TYPES
from membrane.stages import ALLOWED_MOVES
from membrane.times import DAY, HOUR, format_duration
from membrane.tracker import STATIONARY
from membrane.vocabulary import (
    CHANNELS,
    DOMAINS,
    KINDS,
    OBLIGATION_KINDS,
    ONCE_PER,
    STAGES,
    InteractionClass,
    Stage,
    Verdict,
    class_of,
)
from serving import limits

DOCS: Final = Path(__file__).parent
ROOT: Final = DOCS.parent
METRIC_SOURCES: Final = ("serving/metrics.py", "stream/metrics.py")
_PART: Final = re.compile(r"(<!-- generated: (?P<name>[\w-]+) -->\n).*?(<!-- end: (?P=name) -->)", re.DOTALL)
_HELP: Final = re.compile(r"(?P<text>.*?)(?: \(default (?P<default>[^)]*)\))?(?: \[(?P<variable>\w+)\])?")
_METRIC_KINDS: Final = {"Counter": "_total", "Gauge": "", "Histogram": ""}


def table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """A table in Markdown; bars inside cells are escaped."""
    head = tuple(head)
    lines = [head, ("---",) * len(head), *rows]
    return "".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def code(value: object) -> str:
    """A word as code; nothing stays nothing."""
    return f"`{value}`" if value != "" else ""


def codes(values: Iterable[object]) -> str:
    """Words as code, by commas."""
    return ", ".join(map(code, values))


# ---- signals -------------------------------------------------------------------------------------------------------


def signal_types() -> str:
    """Every signal type with its required and its optional slots."""
    schemas, components = msgspec.json.schema_components(TYPES.values(), ref_template="{name}")
    rows = []
    for name, reference in zip(TYPES, schemas, strict=True):
        schema = components[reference["$ref"]]
        required = schema.get("required", [])
        slots = {slot: f"`{slot}`{_shape(shape)}" for slot, shape in schema["properties"].items()}
        rows.append(
            (
                code(name),
                ", ".join(text for slot, text in slots.items() if slot in required) or "–",
                ", ".join(text for slot, text in slots.items() if slot not in required) or "–",
            )
        )
    return table(("type", "required", "optional"), rows)


def _shape(schema: dict[str, Any]) -> str:
    """What a slot may hold, where that is not a short text."""
    shapes = [one for one in schema.get("anyOf", [schema]) if one.get("type") != "null"]
    if len(shapes) > 1:
        return f" ({' or '.join(sorted({one['type'] for one in shapes}))})"
    [shape] = shapes
    if "enum" in shape:
        return f" ({', '.join(sorted(shape['enum']))})"
    if shape.get("format") == "date-time":
        return " (time)"
    if "minimum" in shape:
        return f" ({'whole ' * (shape['type'] == 'integer')}{shape['minimum']:g}..{shape['maximum']:g})"
    if shape.get("type") == "string":
        return "" if "maxLength" in shape or "pattern" in shape else " (text)"
    return f" ({shape['type']})" if "type" in shape else " (any JSON)"


def body_limits() -> str:
    """How large and how slow a body may be."""
    kib = 1024
    return table(
        ("what", "limit", "beyond it"),
        (
            ("one signal", f"{MAX_SIGNAL_BYTES // kib} KiB", "413; in a batch that signal alone is rejected"),
            ("a batch", f"{limits.MAX_BATCH_BYTES // kib:,} KiB and {limits.MAX_BATCH_SIGNALS:,} signals", "413"),
            ("a decision request", f"{limits.MAX_DECISION_BYTES // kib} KiB", "413"),
            ("a batch of decisions", "none; each line as a decision request", "413 in the place of that line"),
            ("days of a simulation", f"{limits.MAX_SIMULATION_DAYS}", "422"),
            ("a principle file", f"{limits.MAX_PRINCIPLES_BYTES // kib} KiB", "413"),
            ("who and why of meeting or waiving an obligation", f"{limits.MAX_ACT_BYTES // kib} KiB", "413"),
            ("a request's headers", f"{limits.MAX_HEADER_BYTES // kib} KiB", "431"),
            ("connections of one process", f"{limits.MAX_CONNECTIONS}", "503"),
            ("time for a request's headers", f"{limits.HEADER_SECONDS:g} s", "the connection is closed"),
            ("time for a request's body", f"{limits.BODY_SECONDS:g} s", "408"),
            ("time for the next part of a batch of decisions", f"{limits.BATCH_SECONDS:g} s", "408 as its last line"),
            ("time for a simulation", f"{limits.SIMULATION_SECONDS:g} s", "503"),
        ),
    )


# ---- decisions -----------------------------------------------------------------------------------------------------


def classes() -> str:
    """The class of every domain and kind."""
    rows: list[tuple[str, str, str]] = []
    for domain, by_class in KINDS.items():
        rows += [(code(domain), codes(kinds), code(cls)) for cls, kinds in by_class.items()]
        rows.append((code(domain), "any other", code(class_of(domain, UNKNOWN_KIND))))
    return table(("domain", "kinds", "class"), rows)


def class_defaults() -> str:
    """The verdict of every class under every cause."""
    irreversible = sorted(IRREVERSIBLE)
    lines = [(cls, "", code(cls)) for cls in InteractionClass]
    lines.append((InteractionClass.MONEY_IN, irreversible[0], f"{codes(irreversible)} (of `money_in`)"))
    rows = ((shown, *(_cell(cls, kind, cause) for cause in TABLE)) for cls, kind, shown in lines)
    return table(("class", *map(code, TABLE)), rows)


def _cell(cls: InteractionClass, kind: str, cause: str) -> str:
    found = default_verdict(cls, kind, cause, None)
    calm = default_verdict(cls, kind, cause, Stage.STEADY)
    needing = default_verdict(cls, kind, cause, Stage.STEADY, needs_model=True)
    if calm != found:
        return f"{_verdict(found)} ¹"
    return _verdict(found) + (" ²" if needing != found else "")


def _verdict(verdict: Verdict | None) -> str:
    return "by principles" if verdict is None else f"**{verdict}**"


# ---- stages ----------------------------------------------------------------------------------------------------------


def stage_moves() -> str:
    """The published graph: from which stage to which a customer may move."""
    rows = (
        (code(STAGES[before]), codes(STAGES[to] for to in sorted(after))) for before, after in ALLOWED_MOVES.items()
    )
    return table(("from", "to"), rows)


def stationary() -> str:
    """Where the filter tends without news."""
    return table(map(code, STAGES), [STATIONARY])


# ---- principles ----------------------------------------------------------------------------------------------------


def words() -> str:
    """The closed lists that a principle file draws on."""
    kinds = dict.fromkeys(kind for by_class in KINDS.values() for kinds in by_class.values() for kind in kinds)
    return table(
        ("field", "may be"),
        (
            ("`effect`", codes(Effect)),
            ("`owner`", codes(OWNERS)),
            ("`domains`", codes(domain for domain in DOMAINS if domain in KINDS)),
            ("`kinds`, `not_kinds`, `met_by`", codes(kinds)),
            ("`channels`", codes(CHANNELS)),
            ("`directions`", codes(DIRECTIONS)),
            ("`classes`", codes(InteractionClass)),
            ("`obligation.kind`", codes(OBLIGATION_KINDS)),
            ("`once_per`", codes(ONCE_PER)),
        ),
    )


def facts() -> str:
    """The dictionary of facts."""
    rows = ((code(f.name), f.type, _values(f), code(_unknown(f)), f.en, f.es) for f in FACTS)
    return table(("fact", "type", "unit or values", "if unknown", "means", "significa"), rows)


def _values(fact: Fact) -> str:
    return codes(fact.values) if fact.values else "" if fact.type in ("bool", "duration") else fact.unit


def _unknown(fact: Fact) -> str:
    if fact.type == "duration":
        return format_duration(int(fact.unknown))
    return json.dumps(fact.unknown) if isinstance(fact.unknown, bool) else str(fact.unknown)


def case_fields() -> str:
    """What a condition may ask of each open case."""
    rows = ((code(name), kind, codes(CASE_ENUMS.get(name, ()))) for name, kind in CASE_FIELDS.items())
    return table(("field", "type", "values"), rows)


def money_kinds() -> str:
    """The obligations that a failing condition does not open."""
    return codes(sorted(MONEY_KINDS)) + "\n"


def tenant_settings() -> str:
    """The settings of a tenant with the values in force."""
    values = msgspec.structs.asdict(TenantSettings())
    values["billing_categories"] = ", ".join(values["billing_categories"])
    values["go_live"] = ""
    return table(("setting", "unless set"), ((code(name), code(value) or "–") for name, value in values.items()))


# ---- features and models -------------------------------------------------------------------------------------------


def feature_registry() -> str:
    """Every feature, and what it is of a customer with no more than a first sign of life (a moment ago)."""
    t = 400 * DAY + HOUR
    neutral = features(State(first_at=t, inbound_at=t), t)
    rows = (
        (number, code(f.name), f.unit, f.window, f.measure, f"{value:g}")
        for number, (f, value) in enumerate(zip(REGISTRY, neutral, strict=True))
    )
    head = f"{len(REGISTRY)} features; fingerprint `{fingerprint()}`.\n\n"
    return head + table(("column", "name", "unit", "window", "measure", "neutral"), rows)


def seed_figures() -> str:
    """What the manifests of the bundles that ship say."""
    parts = []
    for path in sorted((ROOT / "models/seed").glob("*/manifest.json")):
        manifest = json.loads(path.read_bytes())
        digest = (path.parent / "digest").read_text().strip()
        parts.append(
            f"**{manifest['name']}** ({manifest['kind']}, revision `{manifest['revision']}+{digest[:8]}`, provenance "
            f"`{manifest['provenance']}`; classes {codes(manifest['classes'])}):\n\n"
            + table(("figure", "value"), ((code(name), f"{value:g}") for name, value in manifest["metrics"].items()))
        )
    return "\n".join(parts)


# ---- quality -------------------------------------------------------------------------------------------------------


def quality(part: str) -> str:
    """What the last run of a part of `make bench-quality` measured."""
    kept = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    if part not in kept:
        return f"Not measured yet: `make bench-quality ARGS='--only {part}'`.\n"
    done = kept[part]
    packages = ", ".join(f"{name} {number}" for name, number in done["packages"].items())
    head = f"{done['at']}, {done['cpu_seconds']} s of CPU ({done['cpu']}), Python {done['python']}, {packages}.\n\n"
    rows = (
        (row["what"], row["must"] or "", row["aim"] or "", _number(row["measured"], row["unit"]),
         "" if row["control"] is None else _number(row["control"], row["unit"]), row["verdict"], row["n"], row["note"])
        for row in done["rows"]
    )  # fmt: skip
    return head + table(("what", "must", "aim", "measured", "baseline", "verdict", "N", "note"), rows)


def _number(value: float, unit: str) -> str:
    return f"{value:.4g} {unit}".strip()


# ---- operations ----------------------------------------------------------------------------------------------------


def commands() -> str:
    """Every command with its options, their variables and defaults."""
    parts = []
    for name, parser in _commands(build_parser(), "membrane"):
        options = [action for action in parser._actions if action.help != argparse.SUPPRESS and action.dest != "help"]  # noqa: SLF001 - argparse shows them to nobody else
        rows = [row for row in map(_option, options) if row[0] != "`--json`"]
        parts.append(f"`{name}`: {parser.description}\n")
        if rows:
            parts.append(table(("option", "variable", "default", "meaning"), rows))
    return "\n".join(parts)


def _commands(parser: argparse.ArgumentParser, name: str) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """The commands without subcommands, in the order of `membrane --help`."""
    groups = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]  # noqa: SLF001 - see above
    if not groups:
        yield name, parser
    for group in groups:
        for word, command in group.choices.items():
            yield from _commands(command, f"{name} {word}")


def _option(action: argparse.Action) -> tuple[str, str, str, str]:
    match = _HELP.fullmatch(action.help or "")
    assert match is not None  # noqa: S101 - the pattern takes any text
    shown = " ".join([*action.option_strings[:1], str(action.metavar or "")]).strip()
    return code(shown), code(match["variable"] or ""), code(match["default"] or ""), match["text"]


def metrics() -> str:
    """Every metric with its labels, as the code declares it."""
    found: dict[str, tuple[str, str, str]] = {}
    for source in METRIC_SOURCES:
        for call in ast.walk(ast.parse((ROOT / source).read_text())):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in _METRIC_KINDS:
                name, meaning, *labels = [ast.literal_eval(one) for one in call.args]
                kind = call.func.id
                shown = code(name + _METRIC_KINDS[kind])
                found.setdefault(shown, (kind.lower(), codes(labels[0] if labels else ()), meaning))
    return table(("metric", "kind", "labels", "meaning"), ((name, *rest) for name, rest in found.items()))


PARTS: Final[dict[str, Callable[[], str]]] = {
    "signal-types": signal_types,
    "body-limits": body_limits,
    "classes": classes,
    "class-defaults": class_defaults,
    "stage-moves": stage_moves,
    "stationary": stationary,
    "words": words,
    "facts": facts,
    "case-fields": case_fields,
    "money-kinds": money_kinds,
    "tenant-settings": tenant_settings,
    "features": feature_registry,
    "seed-figures": seed_figures,
    **{f"quality-{part}": partial(quality, part) for part in QUALITY_PARTS},
    "commands": commands,
    "metrics": metrics,
}


def rendered(text: str) -> str:
    """A document with its generated parts made anew. KeyError for a part that nobody makes."""
    return _PART.sub(lambda part: part[1] + "\n" + PARTS[part["name"]]() + "\n" + part[3], text)


def pages() -> list[Path]:
    """The documents."""
    return sorted(DOCS.glob("*.md"))


def main() -> None:
    """Writes what changed."""
    for page in pages():
        before = page.read_text(encoding="utf-8")
        after = rendered(before)
        if after != before:
            page.write_text(after, encoding="utf-8")


if __name__ == "__main__":
    main()
