"""The entities an obligation can be once per: which cases, problems, products, surveys and episodes there are."""

from __future__ import annotations

from membrane.cases import problem_key, relapse_products
from membrane.facts import LOW_SCORES_FOR
from membrane.record import Record

SEPARATOR = "\x1f"


def entities(record: Record, t: int, scope: str) -> list[str]:
    """Names of the entities of a once_per scope at t, in a fixed order. A problem is named by category, product and
    when it began, so that a problem that ended and came back is another one; incidents are not acted on yet."""
    state = record.state
    if scope == "case":
        return [case.case for case in state.cases if case.open]
    if scope == "problem":
        return [
            SEPARATOR.join((problem.category, problem.product, str(since)))
            for problem in state.problems
            if (since := record.tracker.problems.get(problem_key(problem), 0))
            and since > state.replaced.get(problem.product, 0)
        ]
    if scope == "product":
        return relapse_products(state, t)
    if scope == "survey":
        return [
            low.survey
            for low in state.low_scores
            if t - LOW_SCORES_FOR < low.at <= t and low.at > state.service_contact_at
        ]
    if scope == "episode":
        return [str(record.tracker.episode_at)] if record.tracker.episode_at else []
    return []
