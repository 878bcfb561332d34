"""The texts of the reasons that no principle gives, in English and Spanish."""

from __future__ import annotations

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
        "en": f"The customer has had the {at_most} contacts that fit into {per}.",
        "es": f"El cliente ya tuvo los {at_most} contactos que caben en {per}.",
    }


def quiet_text(start: str, end: str) -> dict[str, str]:
    """The text of quiet hours that bring none of their own."""
    return {
        "en": f"It is between {start} and {end} where the customer is.",
        "es": f"Donde está el cliente son entre las {start} y las {end}.",
    }
