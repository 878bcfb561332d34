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
    """One fact. `values` closes an enumeration. `timed` says how time alone changes it: not at all, as an age
    (t - anchor), or at moments the fact names itself (`FactSource.next_change`)."""

    name: str
    type: FactType
    unknown: Value
    es: str
    en: str
    unit: str = ""
    values: tuple[str, ...] = ()
    timed: Literal["no", "age", "changes"] = "no"


FACTS: Final = (
    Fact("lifecycle", "string", "unknown", "ciclo de vida del cliente", "the customer's lifecycle",
         values=tuple(LIFECYCLES), timed="changes"),
    Fact("stage.name", "string", "none", "etapa de la relación", "stage of the relationship",
         values=(*STAGES, "none"), timed="changes"),
    Fact("stage.p_crisis", "double", 0.0, "probabilidad de crisis", "probability of crisis", unit="probability",
         timed="changes"),
    Fact("stage.age", "duration", 0, "tiempo en la etapa", "time in the stage", unit="ms", timed="age"),
    Fact("episode.age", "duration", 0, "tiempo desde que empezó el episodio", "time since the episode began",
         unit="ms", timed="age"),
    Fact("closed.age", "duration", 0, "tiempo desde que cerró la cuenta", "time since the account was closed",
         unit="ms", timed="age"),
    Fact("customer.tenure", "duration", 0, "antigüedad del cliente", "time as a customer", unit="ms", timed="age"),
    Fact("case.open", "int", 0, "casos abiertos", "open cases", unit="cases"),
    Fact("case.open_without_eta", "int", 0, "casos abiertos sin plazo prometido", "open cases without a promised time",
         unit="cases"),
    Fact("case.waiting_on_customer", "int", 0, "casos que esperan al cliente", "open cases that wait for the customer",
         unit="cases"),
    Fact("case.worst_severity", "int", 9, "peor gravedad abierta (1 es la peor, 9 si no hay)",
         "worst open severity (1 is worst, 9 if none)"),
    Fact("case.eta_missed", "int", 0, "casos con el plazo incumplido", "open cases whose promised time has passed",
         unit="cases", timed="changes"),
    Fact("case.open_billing", "int", 0, "casos abiertos de facturación", "open cases about a bill", unit="cases"),
    Fact("problem.recurrences", "int", 0, "veces que el mismo problema ya había ocurrido",
         "times the same problem had come before", unit="reports"),
    Fact("risk.relapse", "bool", False, "riesgo de recaída con el mismo producto",
         "risk of relapse on the same product", timed="changes"),
    Fact("risk.churn", "double", 0.0, "probabilidad de perder al cliente en 30 días",
         "probability of losing the customer within 30 days", unit="probability", timed="changes"),
    Fact("survey.low_unanswered", "int", 0, "opiniones malas sin respuesta nuestra en 30 días",
         "bad ratings of the last 30 days that we have not answered", unit="answers", timed="changes"),
    Fact("about.known", "bool", False, "se conoce el final de la interacción por la que se pregunta",
         "the end of the interaction asked about is known"),
    Fact("about.age", "duration", 0, "tiempo desde la interacción por la que se pregunta",
         "time since the interaction asked about ended", unit="ms", timed="age"),
    Fact("consent.state", "string", "none", "permiso para este canal y dominio", "consent for this channel and domain",
         values=("granted", "denied", "none")),
    Fact("contact.complaints_90d", "int", 0, "quejas por nuestros mensajes en 90 días",
         "complaints about our messages in 90 days", timed="changes"),
    Fact("profile.vulnerable", "bool", False, "persona en situación vulnerable", "person in a vulnerable situation"),
    Fact("profile.has_email", "bool", True, "tiene correo electrónico", "can be reached by email"),
    Fact("request.channel", "string", "other", "canal pedido", "channel asked for", values=CHANNELS),
    Fact("incident.active", "bool", False, "avería general en curso", "a general outage is going on"),
    Fact("data.service_source_silent", "bool", False, "las señales de servicio no están llegando",
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
