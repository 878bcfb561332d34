"""Principle sets and models by the digest that a revision record names, kept once they are loaded."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Final

from membrane.features import FEATURE_NAMES, fingerprint
from membrane.principle_file import read_principles
from membrane.principles import PrincipleSet
from models.registry import Registry
from models.scorer import OnnxScorer, RulesOnly
from storage.principles import PrincipleFiles, read_document
from stream.infer import DrivenScorer

KEPT: Final = 8


class FileLibrary:
    """The library of one data directory."""

    def __init__(self, principles: Path, models: Path) -> None:
        self._files = PrincipleFiles(principles)
        self._registry = Registry(models)
        self.principles = lru_cache(KEPT)(self._principles)
        self.scorer = lru_cache(KEPT)(self._scorer)

    def _principles(self, digest: str) -> PrincipleSet:
        """The set of a digest. InvalidPrinciples if it is missing, changed or faulty."""
        document = read_document(self._files.load(digest), str(self._files.path(digest)))
        return read_principles(document.value, document.marks, digest=digest, features=FEATURE_NAMES)

    def _scorer(self, stage: str | None, churn: str | None) -> DrivenScorer:
        """The scorer of two bundles. InvalidBundle if one of them may not answer."""
        if stage is None and churn is None:
            return RulesOnly()
        return OnnxScorer(
            fingerprint=fingerprint(),
            stage=self._registry.load(stage) if stage else None,
            churn=self._registry.load(churn) if churn else None,
        )
