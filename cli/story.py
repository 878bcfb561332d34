"""The story that the demo plays: a shop whose card terminal keeps failing. What happens, when, and what must follow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

from cli.expectations import Expected
from membrane.ports import partition_of
from membrane.times import DAY, HOUR, MINUTE, format_time

SHOP: Final = "shop-la-esquina"
OLD_TERMINAL, NEW_TERMINAL = "terminal-T1", "terminal-T2"
TENANT: Final = "default"
_PROBLEM: Final = {"category": "connectivity", "product": OLD_TERMINAL}

Data = dict[str, Any]
Text = dict[str, str]

HARDWARE: Final = {
    "id": "marketing-hardware", "domain": "marketing", "kind": "upsell", "channel": "email",
    "value": 400, "propensity": 0.3,
}  # fmt: skip
NEWS: Final = {
    "id": "marketing-news", "domain": "marketing", "kind": "newsletter", "channel": "email",
    "value": 10, "propensity": 0.5,
}  # fmt: skip
UPGRADE: Final = {"id": "sales-upgrade", "domain": "sales", "kind": "upgrade", "channel": "email", "value": 300}
RESCUE: Final = {"id": "sales-rescue", "domain": "sales", "kind": "rescue_offer", "channel": "email", "value": 300}
CSAT: Final = {"id": "survey-csat", "domain": "survey", "kind": "csat", "channel": "email"}
NPS: Final = {"id": "survey-nps", "domain": "survey", "kind": "nps", "channel": "email"}
CALL: Final = {"id": "service-call", "domain": "service", "kind": "agent_call", "channel": "phone"}
EVERYBODY: Final = (HARDWARE, NEWS, UPGRADE, CSAT, NPS, CALL)


@dataclass(frozen=True, slots=True)
class Happening:
    """A signal of the story: `at` is milliseconds after the story begins."""

    at: int
    name: str
    data: Data
    of_neighbour: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One scene: what happens, what is asked then, and what must follow."""

    title: Text
    happenings: tuple[Happening, ...]
    candidates: tuple[Data, ...] = EVERYBODY
    choose: Literal["per_domain", "none"] = "per_domain"
    reserve: bool = False
    expected: Expected


def _report(at: int, text: str, sentiment: float, name: str, **data: Any) -> tuple[Happening, ...]:
    """A report of the problem, and what the shop writes about it."""
    message = {"channel": "whatsapp", "text": text, "language": "es", "sentiment": sentiment, "case": data["case"]}
    return Happening(at, name, data), Happening(at + 5 * MINUTE, "message.received", message)


def _solved(at: int, case: str) -> Happening:
    return Happening(at, "case.resolved", {"case": case, "resolution_code": "fixed"})


def _time_passes(at: int) -> Happening:
    """Somebody else's signal moves the clock."""
    return Happening(at, "usage.measured", {"metric": "payments", "value": 40}, of_neighbour=True)


OPENING: Final = 10 * HOUR
CRISIS: Final = 18 * DAY + 9 * HOUR
SOLVED: Final = CRISIS + 80 * HOUR
_TRADE_FORBIDDEN: Final = {"marketing-hardware": "forbid", "marketing-news": "forbid", "sales-upgrade": "forbid"}
_NO_SELLING: Final = dict.fromkeys(_TRADE_FORBIDDEN, "no-selling-in-crisis")
_STAGE_WOULD_HELP: Final = dict.fromkeys(_TRADE_FORBIDDEN, "stage.name")
_SURVEY_PRINCIPLE: Final = "no-survey-before-a-promised-time"

STEPS: Final = (
    Step(
        title={"en": "A shop opens. All is steady.", "es": "Abre una tienda. Todo va bien."},
        happenings=(
            Happening(OPENING, "account.opened", {"product": OLD_TERMINAL, "language": "es", "segment": "shop"}),
            Happening(OPENING + MINUTE, "profile.updated", {"channels": ["email", "phone", "whatsapp"]}),
            Happening(OPENING + HOUR, "usage.measured", {"metric": "payments", "value": 35}),
        ),
        expected=Expected(
            stage="steady",
            verdicts={
                "marketing-hardware": "allow", "marketing-news": "defer", "sales-upgrade": "allow",
                "survey-csat": "allow", "survey-nps": "allow", "service-call": "allow",
            },
            reasons={"marketing-news": "arbitration"},
        ),
    ),
    Step(
        title={
            "en": "The card terminal loses its connection: four reports of one problem, each solved.",
            "es": "El datáfono pierde la conexión: cuatro avisos del mismo problema, cada uno resuelto.",
        },
        happenings=(
            *_report(2 * DAY + 9 * HOUR, "El datáfono no conecta.", -0.4, "case.opened",
                     case="case-1", severity=3, **_PROBLEM),
            _solved(2 * DAY + 15 * HOUR, "case-1"),
            *_report(6 * DAY + 9 * HOUR, "Otra vez sin conexión.", -0.5, "case.reopened", case="case-1"),
            _solved(6 * DAY + 14 * HOUR, "case-1"),
            *_report(10 * DAY + 9 * HOUR, "Volvió a fallar y había cola.", -0.5, "case.opened",
                     case="case-2", severity=2, **_PROBLEM),
            _solved(10 * DAY + 12 * HOUR, "case-2"),
            *_report(14 * DAY + 9 * HOUR, "Cuarta vez. Pierdo ventas.", -0.6, "case.reopened", case="case-2"),
            _solved(14 * DAY + 13 * HOUR, "case-2"),
        ),
        expected=Expected(
            stage="strained",
            verdicts={"marketing-hardware": "allow", "sales-upgrade": "allow", "service-call": "allow"},
            closed={"promised_time": "waived"},
        ),
    ),
    Step(
        title={
            "en": "Two marketing teams, sales, surveys and service ask for a slot at once: each cap gives it once.",
            "es": "Dos equipos de marketing, ventas, encuestas y servicio piden turno a la vez: cada límite da uno.",
        },
        happenings=(_time_passes(CRISIS - 5 * MINUTE),),
        reserve=True,
        expected=Expected(
            stage="strained",
            verdicts={
                "marketing-hardware": "defer", "marketing-news": "defer", "sales-upgrade": "allow",
                "survey-csat": "allow", "survey-nps": "defer", "service-call": "allow",
            },
            reasons={
                "marketing-hardware": "one-selling-contact-a-day",
                "marketing-news": "one-selling-contact-a-day",
                "survey-nps": "one-survey-a-fortnight",
            },
            until=("marketing-hardware", "survey-nps"),
            permits=frozenset({"sales-upgrade", "survey-csat", "service-call"}),
        ),
    ),
    Step(
        title={
            "en": "The fifth report: crisis. An agent must call, and we owe a time.",
            "es": "El quinto aviso: crisis. Debe llamar una persona, y debemos dar un plazo.",
        },
        happenings=_report(CRISIS, "Quinta vez este mes. Esto es inaceptable.", -0.8, "case.opened",
                           case="case-3", severity=2, **_PROBLEM),
        expected=Expected(
            stage="crisis",
            verdicts={**_TRADE_FORBIDDEN, "survey-csat": "defer", "survey-nps": "defer", "service-call": "allow"},
            reasons={**_NO_SELLING, "survey-csat": _SURVEY_PRINCIPLE, "survey-nps": "no-image-survey-in-crisis"},
            unless=_STAGE_WOULD_HELP,
            revoked=frozenset({"sales-upgrade", "survey-csat"}),
            owed=frozenset({"agent_call", "promised_time"}),
        ),
    ),
    Step(
        title={
            "en": "An agent calls and promises a time: the survey's own principle lifts.",
            "es": "Llama una persona y promete un plazo: la encuesta ya no espera por eso.",
        },
        happenings=(
            Happening(CRISIS + 2 * HOUR, "contact.made",
                      {"domain": "service", "kind": "agent_call", "channel": "phone", "contact": "call-1"}),
            Happening(CRISIS + 2 * HOUR + 10 * MINUTE, "case.updated", {"case": "case-3", "eta": CRISIS + 96 * HOUR}),
        ),
        expected=Expected(
            stage="crisis",
            verdicts={**_TRADE_FORBIDDEN, "survey-csat": "allow", "survey-nps": "defer", "service-call": "allow"},
            reasons={**_NO_SELLING, "survey-nps": "no-image-survey-in-crisis"},
            no_reason={"survey-csat": _SURVEY_PRINCIPLE, "survey-nps": _SURVEY_PRINCIPLE},
            closed={"agent_call": "met", "promised_time": "met"},
        ),
    ),
    Step(
        title={"en": "Hour 71 of the crisis.", "es": "Hora 71 de la crisis."},
        happenings=(_time_passes(CRISIS + 71 * HOUR),),
        expected=Expected(stage="crisis", verdicts=_TRADE_FORBIDDEN, reasons=_NO_SELLING),
    ),
    Step(
        title={
            "en": "Hour 73, and not a word from the shop: a free service is owed.",
            "es": "Hora 73, sin noticias de la tienda: le debemos un servicio gratuito.",
        },
        happenings=(_time_passes(CRISIS + 73 * HOUR),),
        expected=Expected(
            stage="crisis", verdicts=_TRADE_FORBIDDEN, reasons=_NO_SELLING, owed=frozenset({"free_service"})
        ),
    ),
    Step(
        title={
            "en": "Solved, with a good word. It may fail again: the replacement and a credit are the right things now.",
            "es": "Resuelto, y lo agradece. Puede volver a fallar: toca el reemplazo y un crédito de servicio.",
        },
        happenings=(
            _solved(SOLVED, "case-3"),
            Happening(SOLVED + 30 * MINUTE, "message.received",
                      {"channel": "whatsapp", "text": "Gracias, ya funciona.", "language": "es", "sentiment": 0.6}),
            Happening(SOLVED + HOUR, "credit.given", {"kind": "free_service"}),
        ),
        candidates=(HARDWARE, NEWS, UPGRADE, RESCUE, CSAT, NPS, CALL),
        choose="none",
        expected=Expected(
            stage="recovering",
            relapse=True,
            verdicts={
                "marketing-hardware": "defer", "marketing-news": "defer", "sales-upgrade": "allow",
                "sales-rescue": "allow", "service-call": "allow",
            },
            reasons=dict.fromkeys(("marketing-hardware", "marketing-news"), "only-the-rescue-while-recovering"),
            until=("marketing-news",),
            owed=frozenset({"rescue_offer", "service_credit"}),
            closed={"free_service": "met"},
        ),
    ),
    Step(
        title={
            "en": "It takes the offer and replaces the terminal: the risk goes.",
            "es": "Acepta la oferta y cambia el datáfono: el riesgo desaparece.",
        },
        happenings=(
            Happening(SOLVED + DAY, "contact.made",
                      {"domain": "sales", "kind": "rescue_offer", "channel": "email", "contact": "rescue-1"}),
            Happening(SOLVED + 2 * DAY, "order.placed",
                      {"amount": 180, "currency": "EUR", "product": NEW_TERMINAL}),
            Happening(SOLVED + 2 * DAY + HOUR, "product.replaced", {"old": OLD_TERMINAL, "new": NEW_TERMINAL}),
        ),
        expected=Expected(
            stage="recovering",
            verdicts={"marketing-hardware": "defer", "marketing-news": "defer", "service-call": "allow"},
            closed={"rescue_offer": "met", "service_credit": "waived"},
        ),
    ),
    Step(
        title={"en": "Fourteen quiet days later.", "es": "Catorce días tranquilos después."},
        happenings=(_time_passes(SOLVED + 15 * DAY),),
        expected=Expected(
            stage="steady",
            verdicts={
                "marketing-hardware": "allow", "sales-upgrade": "allow", "survey-csat": "allow",
                "survey-nps": "allow", "service-call": "allow",
            },
        ),
    ),
)  # fmt: skip


def neighbour(partitions: int) -> str:
    """Another customer, of the shop's partition: what it has seen, the shop's record has seen."""
    own = partition_of(TENANT, SHOP, partitions)
    names = (f"neighbour-{number}" for number in range(100 * partitions))
    return next(name for name in names if partition_of(TENANT, name, partitions) == own)


def events(step: Step, number: int, base_ms: int, beside: str) -> list[Data]:
    """The CloudEvents of a step; `beside` is the neighbour."""
    return [
        {
            "specversion": "1.0",
            "id": f"story-{number}-{place}",
            "source": "story",
            "type": f"cx.{happening.name}.v1",
            "subject": beside if happening.of_neighbour else SHOP,
            "time": format_time(base_ms + happening.at),
            "data": _timed(happening.data, base_ms),
        }
        for place, happening in enumerate(step.happenings)
    ]


def _timed(data: Data, base_ms: int) -> Data:
    return {**data, "eta": format_time(base_ms + data["eta"])} if "eta" in data else data
