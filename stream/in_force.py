"""What judges at a place of the log: the rules and the scorer that the revisions met so far name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Final, Protocol

from membrane.engine import Rules, rules_for
from membrane.errors import InvalidBundle, InvalidPrinciples, StoreRefused
from membrane.layers import COMMON, layered, own_kind, own_tenants
from membrane.principles import PrincipleSet
from membrane.settings import TenantSettings
from stream.infer import Challenger, DrivenScorer
from stream.meta import Meta

_MODELS: Final = ("stage_model", "churn_model")
CHALLENGERS: Final = ("churn_challengers", "stage_challengers")
"""The kinds of revisions that name challengers."""


class Library(Protocol):
    """Where principle sets and models come from, by the digest a revision record names. StoreRefused for a digest
    whose bytes are not there: they may come back. InvalidPrinciples or InvalidBundle for those that are there and that
    this version cannot use: that is the same at every replay."""

    @property
    def principles(self) -> Callable[[str], PrincipleSet]: ...

    @property
    def scorer(self) -> Callable[[str | None, str | None], DrivenScorer]: ...

    @property
    def challenger(self) -> Callable[[str], Challenger]: ...


class InForce:
    """The rules of everybody and of each tenant with something of its own, the scorer and its challengers."""

    def __init__(self, library: Library, settings: TenantSettings) -> None:
        self._library = library
        self._settings = settings
        self.scorer: DrivenScorer = library.scorer(None, None)
        self.challengers: list[Challenger] = []
        self.rules = Rules(None, settings)
        self._own: dict[str, Rules] = {}

    def rules_of(self, tenant: str) -> Rules:
        """What a tenant's customers are judged by."""
        return self._own.get(tenant, self.rules)

    def revisions_of(self, tenant: str) -> dict[str, str]:
        """What a tenant's customers are scored and judged by, by kind, as answers name it."""
        principles, scorer = self.rules_of(tenant).principles, self.scorer
        found = {
            COMMON: None if principles is None else principles.name,
            "stage_model": scorer.stage_revision,
            "churn_model": scorer.churn_revision,
        }
        return {kind: revision for kind, revision in found.items() if revision is not None}

    def all_rules(self) -> tuple[Rules, dict[str, Rules]]:
        """Those of everybody and those of tenants, to compare."""
        return self.rules, self._own

    def use(self, meta: Meta) -> None:
        """Switches to what the revisions name, without what cannot be used, and notes in the meta what that is.
        StoreRefused for what is not there."""
        fit = {kind: one.digest for kind, one in meta.revisions.items() if self.fits(kind, one.digest)}
        meta.unreadable = sorted({*meta.unreadable, *(word_of(kind) for kind in meta.revisions if kind not in fit)})
        principles = self._library.principles(fit[COMMON]) if COMMON in fit else None
        own = {tenant: self._library.principles(fit[own_kind(tenant)]) for tenant in own_tenants(fit)}
        self.scorer = self._library.scorer(*map(fit.get, _MODELS))
        self.challenge(meta)
        meta.churn_is_advisory = self.scorer.churn_is_advisory
        judged = partial(rules_for, churn_is_advisory=meta.churn_is_advisory, go_live=meta.go_live)
        self.rules = judged(principles, self._settings)
        sets = {tenant: layered(principles, one) for tenant, one in own.items() if principles is not None}
        self._own = {
            tenant: judged(
                sets.get(tenant, principles),
                meta.tenants.get(tenant, self._settings),
                [one for one in meta.pauses if one.tenant == tenant],
            )
            for tenant in {*sets, *meta.tenants, *(one.tenant for one in meta.pauses)}
        }

    def challenge(self, meta: Meta) -> None:
        """Switches to the challengers that the revisions name. They change no record, so one that is missing or cannot
        be used is left out, and nothing waits for it."""
        self.challengers = [*self._challengers(meta)]

    def _challengers(self, meta: Meta) -> Iterator[Challenger]:
        for digest in (digest for kind in CHALLENGERS for digest in meta.challengers.get(kind, ())):
            with suppress(StoreRefused, InvalidBundle):
                yield self._library.challenger(digest)

    def fits(self, kind: str, digest: str) -> bool:
        """Whether this version can use it (the library keeps what it has loaded). StoreRefused if it is not there."""
        try:
            if word_of(kind) == COMMON:
                self._library.principles(digest)
            else:
                self._library.scorer(*(digest if kind == model else None for model in _MODELS))
        except (InvalidPrinciples, InvalidBundle):
            return False
        return True


def word_of(kind: str) -> str:
    """What `Meta.unreadable` calls a kind of revision."""
    return COMMON if kind == COMMON or own_tenants([kind]) else "models"
