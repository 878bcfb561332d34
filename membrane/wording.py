"""Words in English and Spanish: the texts of the reasons that no principle gives, and the values of facts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

TEXTS: Final[dict[str, dict[str, str]]] = {
    "unknown-class": {
        "en": "We do not know this domain, so nothing of it goes out.",
        "es": "No conocemos este dominio: no sale nada de él.",
    },
    "never-seen": {
        "en": "We have never seen this customer and have no permission.",
        "es": "Nunca hemos visto a este cliente y no tenemos su permiso.",
    },
    "opted-out": {
        "en": "The customer does not want this by this channel.",
        "es": "El cliente no quiere esto por este canal.",
    },
    "opt-in-missing": {
        "en": "The customer has not given permission for this channel.",
        "es": "El cliente no ha dado permiso para este canal.",
    },
    "paused-domain": {
        "en": "This department's messages are paused.",
        "es": "Los mensajes de este departamento están en pausa.",
    },
    "paused-customer": {
        "en": "This customer is left in peace for now.",
        "es": "A este cliente lo dejamos tranquilo por ahora.",
    },
    "arbitration": {
        "en": "Another candidate was chosen for this customer.",
        "es": "Se eligió otra propuesta para este cliente.",
    },
    "stale": {
        "en": "What we know of the customer is out of date.",
        "es": "Lo que sabemos del cliente no está al día.",
    },
    "very_stale": {
        "en": "What we know of the customer is far out of date.",
        "es": "Lo que sabemos del cliente está muy atrasado.",
    },
    "record_unreadable": {
        "en": "The customer's record cannot be read.",
        "es": "No se puede leer la ficha del cliente.",
    },
    "claims_unreadable": {
        "en": "The claims on contact caps cannot be read.",
        "es": "No se pueden leer las reservas de los límites de contacto.",
    },
    "consents_unreadable": {
        "en": "The customer's consents cannot be read.",
        "es": "No se pueden leer los permisos del cliente.",
    },
    "no_principles": {
        "en": "No principles are loaded.",
        "es": "No hay principios cargados.",
    },
    "model_missing": {
        "en": "The model that a principle needs is missing.",
        "es": "Falta el modelo que un principio necesita.",
    },
    "model_invalid": {
        "en": "The model that a principle needs gives no valid answer.",
        "es": "El modelo que un principio necesita no da una respuesta válida.",
    },
    "deadline": {
        "en": "There was no time left to judge this.",
        "es": "No quedó tiempo para juzgarlo.",
    },
}


def cap_text(at_most: int, per: str) -> dict[str, str]:
    """The text of a cap that brings none of its own."""
    return {
        "en": f"No more than {at_most} such contact{'s' * (at_most != 1)} in {per}: there is no room now.",
        "es": f"No más de {at_most} contacto{'s' * (at_most != 1)} de esta clase en {per}: ahora no hay lugar.",
    }


QUIET_DAY: Final = {
    "en": "Where the customer is this is a day of rest.",
    "es": "Donde está el cliente es día de descanso.",
}
"""The text of whole quiet days that bring none of their own."""


def quiet_text(start: str, end: str) -> dict[str, str]:
    """The text of quiet hours that bring none of their own."""
    return {
        "en": f"It is between {start} and {end} where the customer is.",
        "es": f"Donde está el cliente son entre las {start} y las {end}.",
    }


_VALUES: Final[dict[str, dict[str, tuple[str, str]]]] = {
    "stage.name": {
        "crisis": ("crisis", "crisis"),
        "recovering": ("recovering", "en recuperación"),
        "strained": ("strained", "tensa"),
        "at_risk": ("at risk", "en riesgo"),
        "thriving": ("thriving", "floreciente"),
        "steady": ("steady", "estable"),
        "none": ("none yet", "ninguna aún"),
    },
    "lifecycle": {
        "unknown": ("unknown", "desconocido"),
        "new": ("new", "nuevo"),
        "active": ("active", "activo"),
        "dormant": ("dormant", "alejado"),
        "closed": ("closed", "cerrado"),
    },
    "consent.state": {
        "granted": ("granted", "concedido"),
        "denied": ("denied", "denegado"),
        "none": ("neither granted nor denied", "ni concedido ni denegado"),
    },
    "request.channel": {
        "email": ("email", "correo electrónico"),
        "sms": ("SMS", "SMS"),
        "phone": ("phone", "teléfono"),
        "whatsapp": ("WhatsApp", "WhatsApp"),
        "push": ("push", "notificación"),
        "app": ("app", "aplicación"),
        "chat": ("chat", "chat"),
        "web": ("web", "web"),
        "ivr": ("phone menu", "menú telefónico"),
        "letter": ("letter", "carta"),
        "visit": ("visit", "visita"),
        "social": ("social networks", "redes sociales"),
        "other": ("another", "otro"),
    },
    "status": {
        "open": ("open", "abierto"),
        "waiting_on_customer": ("waiting for the customer", "espera al cliente"),
        "waiting_on_supplier": ("waiting for a supplier", "espera a un proveedor"),
    },
}


def word(fact: str, value: str, language: str) -> str:
    """A value of an enumerated fact (or field of a case) in words, in Spanish in quotes (the words agree with what they
    stand for elsewhere); any other value as it is, in quotes."""
    known = _VALUES.get(fact, {}).get(value, (f"«{value}»", value))
    return f"«{known[1]}»" if language == "es" else known[0]


def any_of(words: Iterable[str], language: str) -> str:
    """Words as alternatives.

    >>> any_of(["crisis", "strained", "steady"], "en")
    'crisis, strained or steady'
    """
    *others, last = words
    return f"{', '.join(others)} {'o' if language == 'es' else 'or'} {last}" if others else last
