"""Principle sets and models by the digest that a revision record names, kept once they are loaded."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Final

from membrane.errors import InvalidBundle, InvalidPrinciples, MembraneError, StoreRefused
from membrane.features import fingerprint
from membrane.principles import PrincipleSet
from models.bundle import Bundle
from models.registry import Registry
from models.scorer import ChallengerModel, OnnxScorer, RulesOnly
from storage.principles import PrincipleFiles, compile_principles
from stream.infer import Challenger, DrivenScorer

KEPT: Final = 8
KEPT_SETS: Final = 128
"""Each tenant may have one of its own."""


class FileLibrary:
    """The library of one data directory."""

    def __init__(self, principles: Path, models: Path) -> None:
        self._files = PrincipleFiles(principles)
        self._registry = Registry(models)
        self.principles = lru_cache(KEPT_SETS)(self._principles)
        self.scorer = lru_cache(KEPT)(self._scorer)
        self.challenger = lru_cache(KEPT)(self._challenger)

    def _principles(self, digest: str) -> PrincipleSet:
        """The set of a digest. StoreRefused if it is missing or changed, InvalidPrinciples if it is faulty."""
        try:
            data = self._files.load(digest)
        except InvalidPrinciples as error:
            raise _missing(error) from error
        return compile_principles(data, str(self._files.path(digest)))

    def _scorer(self, stage: str | None, churn: str | None) -> DrivenScorer:
        """The scorer of two bundles. StoreRefused if one of them is missing or changed, InvalidBundle if it may not
        answer."""
        if stage is None and churn is None:
            return RulesOnly()
        return OnnxScorer(fingerprint=fingerprint(), stage=self._bundle(stage), churn=self._bundle(churn))

    def _challenger(self, digest: str) -> Challenger:
        """The challenger of a bundle. StoreRefused if it is missing or changed, InvalidBundle if it may not answer."""
        return ChallengerModel(self._loaded(digest), fingerprint())

    def _bundle(self, digest: str | None) -> Bundle | None:
        return self._loaded(digest) if digest else None

    def _loaded(self, digest: str) -> Bundle:
        try:
            return self._registry.load(digest)
        except InvalidBundle as error:
            raise _missing(error) from error


def _missing(error: MembraneError) -> StoreRefused:
    return StoreRefused(f"{error}: the log names it, so nothing behind that can be applied: put it back")
