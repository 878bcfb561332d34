"""The sentences of findings, in English and Spanish."""

from __future__ import annotations

from typing import Final

from membrane.vocabulary import FindingKind

SENTENCES: Final[dict[FindingKind, dict[str, str]]] = {
    FindingKind.CONTRADICTION: {
        "en": "{ids} cannot all be followed for one customer: {en}.",
        "es": "{ids} no se pueden cumplir a la vez con un mismo cliente: {es}.",
    },
    FindingKind.UNREACHABLE: {
        "en": "{ids} matches no customer there can be; this one comes nearest.",
        "es": "{ids} no se cumple con ningún cliente posible; este es el que más se acerca.",
    },
    FindingKind.SHADOWED: {
        "en": "Wherever {first} matches, {second} does too and says no less: {first} changes nothing.",
        "es": "Donde se cumple {first} también se cumple {second}, que no dice menos: {first} no cambia nada.",
    },
    FindingKind.GAP: {
        "en": "No principle or guarantee can match for interactions of class {cls} while the stage is {stages_en}.",
        "es": "Ningún principio ni garantía puede cumplirse con interacciones de clase {cls} en la etapa {stages_es}.",
    },
    FindingKind.STARVATION: {
        "en": "No customer was found whom {domain} may contact, not even this one.",
        "es": "No se encontró ningún cliente al que {domain} pueda contactar, ni siquiera este.",
    },
    FindingKind.CAN_ERROR: {
        "en": "The condition of {ids} fails for this customer, and then counts as {en}.",
        "es": "La condición de {ids} falla con este cliente, y entonces cuenta como {es}.",
    },
    FindingKind.UNBOUNDED: {
        "en": "{ids} owes {what} again every {every} for as long as it matches, without at_most.",
        "es": "{ids} debe {what} otra vez cada {every} mientras se cumpla, sin at_most.",
    },
    FindingKind.MISSING_TRANSLATION: {
        "en": "{ids} has no reason to show in one of the two languages.",
        "es": "{ids} no tiene motivo que mostrar en uno de los dos idiomas.",
    },
    FindingKind.NUMBER: {
        "en": "The text of {ids} ({language}) says '{said}', which neither its condition nor its obligation has.",
        "es": "El texto de {ids} ({language}) dice «{said}», que no está en su condición ni en su obligación.",
    },
    FindingKind.GUARANTEE: {
        "en": "{ids} would keep from the customer what is guaranteed ({what}).",
        "es": "{ids} le quitaría al cliente algo garantizado ({what}).",
    },
    FindingKind.DUE_TIME: {
        "en": "In {ids}, the moment at which {fact} passes {at} changes nothing for any customer there can be.",
        "es": "En {ids}, el momento en que {fact} pasa de {at} no cambia nada con ningún cliente posible.",
    },
    FindingKind.OVER_BLOCK: {
        "en": "Of {made} contacts that {domain} made in the last 30 days, {refused} ({share} %) would be refused with "
        "the customers as they are now, most by {ids}.",
        "es": "De {made} contactos de {domain} en los últimos 30 días, {refused} ({share} %) se negarían con los "
        "clientes como están ahora, la mayoría por {ids}.",
    },
}
