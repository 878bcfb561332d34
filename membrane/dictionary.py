"""The dictionary of facts: every name a principle's condition may use, with its type, unit and what it is when unknown.

Conditions are type-checked against this table (`membrane.conditions`), values come from a `FactSource`
(`membrane.facts` makes one from a record), documentation is generated from it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from membrane.vocabulary import CASE_STATUSES, CHANNELS, LIFECYCLES, STAGES

FactType = Literal["string", "int", "double", "bool", "duration"]
Value = str | int | float | bool
"""A fact's value; a duration is an int of milliseconds."""


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact. `es` and `en` say it in words: what is true for a bool, else what has the value. `values` closes an
    enumeration. `timed` says how time alone changes it: not at all, as an age
    (t - anchor), or at moments the fact names itself (`FactSource.next_change`)."""

    name: str
    type: FactType
    unknown: Value
    es: str
    en: str
    unit: str = ""
    values: tuple[str, ...] = ()
    timed: Literal["no", "age", "changes"] = "no"


SOURCE_SILENT_FACT: Final = "data.service_source_silent"
"""What the server alone can tell: it is true of all customers of a tenant at once, and in decisions only."""

FACTS: Final = (
    Fact("lifecycle", "string", "unknown", "el ciclo de vida del cliente", "the customer's lifecycle",
         values=tuple(LIFECYCLES), timed="changes"),
    Fact("stage.name", "string", "none", "la etapa de la relación", "the stage of the relationship",
         values=(*STAGES, "none"), timed="changes"),
    Fact("stage.p_crisis", "double", 0.0, "la probabilidad de crisis", "the probability of crisis",
         unit="probability", timed="changes"),
    Fact("stage.age", "duration", 0, "el tiempo en la etapa", "the time in the stage", unit="ms", timed="age"),
    Fact("episode.age", "duration", 0, "el tiempo desde que empezó el episodio", "the time since the episode began",
         unit="ms", timed="age"),
    Fact("closed.age", "duration", 0, "el tiempo desde que cerró la cuenta", "the time since the account was closed",
         unit="ms", timed="age"),
    Fact("customer.tenure", "duration", 0, "la antigüedad del cliente", "the time as a customer", unit="ms",
         timed="age"),
    Fact("case.open", "int", 0, "el número de casos abiertos", "the number of open cases", unit="cases"),
    Fact("case.open_without_eta", "int", 0, "el número de casos abiertos sin plazo prometido",
         "the number of open cases without a promised time", unit="cases"),
    Fact("case.waiting_on_customer", "int", 0, "el número de casos que esperan al cliente",
         "the number of open cases that wait for the customer", unit="cases"),
    Fact("case.worst_severity", "int", 9, "la peor gravedad abierta (1 es la peor, 9 si no hay)",
         "the worst open severity (1 is worst, 9 if none)", unit="1 to 4, 9"),
    Fact("case.eta_missed", "int", 0, "el número de casos con el plazo incumplido",
         "the number of open cases whose promised time has passed", unit="cases", timed="changes"),
    Fact("case.open_billing", "int", 0, "el número de casos abiertos de facturación",
         "the number of open cases about a bill", unit="cases"),
    Fact("problem.recurrences", "int", 0, "el número de veces que el mismo problema ya había ocurrido",
         "the number of times the same problem had come before", unit="reports"),
    Fact("risk.relapse", "bool", False, "hay riesgo de recaída con el mismo producto",
         "there is a risk of relapse on the same product", timed="changes"),
    Fact("risk.churn", "double", 0.0, "la probabilidad de perder al cliente en 30 días",
         "the probability of losing the customer within 30 days", unit="probability", timed="changes"),
    Fact("survey.low_unanswered", "int", 0, "el número de opiniones malas de los últimos 30 días sin respuesta nuestra",
         "the number of bad ratings of the last 30 days that we have not answered", unit="answers", timed="changes"),
    Fact("about.known", "bool", False, "se conoce el final de la interacción por la que se pregunta",
         "the end of the interaction asked about is known"),
    Fact("about.age", "duration", 0, "el tiempo desde la interacción por la que se pregunta",
         "the time since the interaction asked about ended", unit="ms", timed="age"),
    Fact("consent.state", "string", "none", "el permiso para este canal y dominio",
         "the consent for this channel and domain", values=("granted", "denied", "none")),
    Fact("contact.complaints_90d", "int", 0, "el número de quejas por nuestros mensajes en 90 días (1 si hubo alguna)",
         "the number of complaints about our messages in 90 days (1 if any)", unit="0 or 1", timed="changes"),
    Fact("profile.vulnerable", "bool", False, "la persona está en situación vulnerable",
         "the person is in a vulnerable situation"),
    Fact("profile.has_email", "bool", True, "el cliente tiene correo electrónico",
         "the customer can be reached by email"),
    Fact("request.channel", "string", "other", "el canal pedido", "the channel asked for", values=CHANNELS),
    Fact("incident.active", "bool", False, "hay una avería general en curso", "a general outage is going on"),
    Fact(SOURCE_SILENT_FACT, "bool", False, "las señales de servicio no están llegando",
         "the service signals are not arriving"),
)  # fmt: skip

CASE_FIELDS: Final[dict[str, FactType]] = {
    "category": "string",
    "product": "string",
    "severity": "int",
    "status": "string",
    "age": "duration",
    "has_eta": "bool",
    "eta_missed": "bool",
    "recurrences": "int",
}
"""Fields of an open case in the list `cases` (a typed message in conditions: `cases.exists(c, c.severity == 1)`)."""

CASE_ENUMS: Final = {"status": CASE_STATUSES}
CASE_WORDS: Final = {
    "category": {"es": "categoría", "en": "category"},
    "product": {"es": "producto", "en": "product"},
    "severity": {"es": "gravedad", "en": "severity"},
    "status": {"es": "estado", "en": "status"},
    "age": {"es": "antigüedad", "en": "age"},
    "has_eta": {"es": "tiene plazo prometido", "en": "it has a promised time"},
    "eta_missed": {"es": "su plazo prometido ya pasó", "en": "its promised time has passed"},
    "recurrences": {"es": "número de veces anteriores", "en": "number of earlier times"},
}
"""The fields in words: what is true for a bool, else what has the value."""

BY_NAME: Final = {fact.name: fact for fact in FACTS}
FEATURE_PREFIX: Final = "features."
"""`features.<registry name>` is a double, 0.0 when unknown; time changes it at tile ends, or as an age."""


@dataclass(frozen=True, slots=True)
class CaseFacts:
    """An open case as a condition sees it; `age_ms` since it was opened."""

    case: str
    category: str
    product: str
    severity: int
    status: str
    age_ms: int
    has_eta: bool
    eta_missed: bool
    recurrences: int


Position = tuple[str, str]
"""Where a customer stands: stage and lifecycle."""
Matters = Callable[[Position, Position], bool]
"""Whether a move from one position to another may change what is asked about."""


def any_move(_before: Position, _after: Position) -> bool:
    """Every move matters."""
    return True


ON_STAGE: Final = frozenset({"stage.name", "stage.p_crisis", "stage.age", "episode.age"})
"""Facts that change, or start anew, by time only when the stage moves."""
ON_LIFECYCLE: Final = frozenset({"lifecycle"})


class FactSource(Protocol):
    """The facts of one customer at one moment `t`, read one by one so that only what is asked for is computed."""

    @property
    def t(self) -> int: ...

    def get(self, name: str, /) -> Value:
        """The value of a fact of FACTS or of `features.<name>`; its `unknown` value when there is none."""

    def anchor(self, name: str) -> int | None:
        """Where an age starts (its value is t - anchor), None when unknown."""

    def next_change(self, name: str) -> int | None:
        """The earliest moment > t at which time alone may change this fact (ages apart), None if never."""

    def next_move(self, matters: Matters) -> int | None:
        """The earliest moment > t at which time alone moves stage or lifecycle in a way that matters, None if never."""

    def cases(self) -> Sequence[CaseFacts]:
        """The open cases, for conditions over the list `cases`."""
