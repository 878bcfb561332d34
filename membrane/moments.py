"""When time alone may change what is said of a candidate."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from membrane.caps import Cap
from membrane.expressions import Dependence
from membrane.judging import STAGE, Finding, verdict_of
from membrane.pauses import Pause
from membrane.principles import Principle, Timing
from membrane.sight import Asked, Sight, earliest
from membrane.vocabulary import Verdict

_BY_STAGE: Final = Timing((), (Dependence(on_stage=True, on_lifecycle=False, stages=None, lifecycles=None),), ())


def next_verdict_moment(
    asked: Asked, sight: Sight, findings: Sequence[Finding], besides: Collection[str] = ()
) -> int | None:
    """The earliest moment after the sight's at which time alone may change the verdict on a candidate, but for
    quiet hours of the ids `besides`.

    What holds the verdict up must all have had its chance to end before it can become weaker; what would be stronger
    needs one chance to begin.
    """
    etiquette = asked.etiquette
    if etiquette is None:
        return None
    verdict = verdict_of(findings)
    moments = [_stronger_from(verdict, asked, sight, besides)]
    deciding = [_ends(one, asked, sight) for one in findings if one.verdict is verdict is not Verdict.ALLOW]
    if deciding and None not in deciding:
        moments.append(max(moment for moment in deciding if moment is not None))
    return earliest(moments, sight.t)


def next_moment(asked: Asked, sight: Sight) -> int | None:
    """The earliest moment after the sight's at which time alone may change anything said of a candidate."""
    etiquette = asked.etiquette
    if etiquette is None:
        return None
    moments = [sight.next_change(timing, asked) for timing in (etiquette.blocking_timing, etiquette.modifying_timing)]
    moments += [sight.cap_state(cap).room_at for cap in etiquette.caps]
    moments += [sight.quiet_change(quiet) for quiet in etiquette.quiet_hours]
    return earliest(moments, sight.t)


def forbidden_from(asked: Asked, sight: Sight) -> int | None:
    """The earliest moment after the sight's at which a candidate may be forbidden."""
    return sight.next_change(asked.etiquette.forbidding_timing, asked) if asked.etiquette else None


def _stronger_from(verdict: Verdict, asked: Asked, sight: Sight, besides: Collection[str]) -> int | None:
    """When something stronger than the verdict may begin."""
    etiquette = asked.etiquette
    if verdict is Verdict.FORBID or etiquette is None:
        return None
    if verdict is Verdict.DEFER:
        return forbidden_from(asked, sight)
    quiet = [sight.quiet_change(one) for one in etiquette.quiet_hours if one.id not in besides]
    return earliest([sight.next_change(etiquette.blocking_timing, asked), *quiet], sight.t)


def _ends(finding: Finding, asked: Asked, sight: Sight) -> int | None:
    """When a finding may end by time; what a cap or quiet hours hold back also goes once it is owed."""
    if finding.rule is None:
        return sight.next_change(_BY_STAGE, asked) if STAGE in finding.reads else None
    if isinstance(finding.rule, Principle):
        return sight.next_change(finding.rule.timing, asked)
    if isinstance(finding.rule, Pause):
        return finding.rule.until
    if isinstance(finding.rule, Cap):
        return earliest([sight.cap_state(finding.rule).room_at, sight.next_due], sight.t)
    return earliest([sight.quiet_change(finding.rule), sight.next_due], sight.t)
