"""An answer to a decision request, as the API gives it."""

from __future__ import annotations

from typing import Any

from cli.story import SHOP


def answer(**changes: Any) -> dict[str, Any]:
    verdict = {
        "candidate": "ad", "verdict": "forbid", "until": "2026-01-03T00:00:00Z", "modifications": [],
        "permit": None,
        "reasons": [{"source": "principle", "id": "no-selling", "text": "No.", "facts": {}}],
        "unless": {"any": [[{"fact": "stage.name", "is": "crisis", "would_be": ["steady"]}]]},
        **changes.pop("verdict", {}),
    }  # fmt: skip
    owed = {"kind": "agent_call", "owner": "service", "due": "2026-01-01T04:00:00Z", "state": "open"}
    return {
        "customer": SHOP, "at": "2026-01-01T00:00:00Z", "lifecycle": "active", "verdicts": [verdict], "owed": [owed],
        "stage": {"name": "crisis", "since": "2026-01-01T00:00:00Z"}, "risks": {"relapse": False, "churn": 0.1},
        **changes,
    }  # fmt: skip
