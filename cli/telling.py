"""How the demo tells its story on a terminal: compact, in two languages, coloured only where colours are seen."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from cli.decide import unless_texts
from cli.output import number, say
from cli.story import SHOP, Step

Answer = dict[str, Any]
Verdict = dict[str, Any]

_MARKS: Final = {"allow": ("+", "32"), "defer": ("~", "33"), "forbid": ("x", "31")}
_BOLD, _DIM, _RED, _GREEN = "1", "2", "31", "32"


class Teller:
    """Prints the story; nothing at all unless `shown`."""

    def __init__(self, *, language: Literal["en", "es", "both"], shown: bool) -> None:
        self.languages = ("en", "es") if language == "both" else (language,)
        self._shown = shown
        self._coloured = sys.stdout.isatty() and "NO_COLOR" not in os.environ

    def begin(self) -> None:
        """The first line, before anything is started."""
        self._line(self._paint("Membrane: the story of a shop, through real processes.", _BOLD))

    def note(self, text: str) -> None:
        """Something by the way."""
        self._line(self._paint(f"  {text}", _DIM))

    def tell(
        self, place: int, step: Step, answers: Mapping[str, Answer], wrong: list[str], revoked: Sequence[Answer] = ()
    ) -> None:
        """One step: what happened, how the shop stands, every verdict with its reasons, what was revoked, what is owed,
        what is wrong."""
        answer = next(iter(answers.values()))
        self._line()
        for index, language in enumerate(self.languages):
            self._line(
                self._paint(f"{place}. {step.title[language]}" if not index else f"   {step.title[language]}", _BOLD)
            )
        self._line(f"   {answer['at']}  {_standing(answer)}")
        for group in alike(answer["verdicts"]):
            self._verdicts(group, list(answers.values()))
        for told in revoked:
            cause = told["cause"]["id"]
            self._line(self._paint(f"   ! revoked: the permit of {told['candidate']} [{cause}]", _RED))
        owed = "; ".join(
            f"{one['kind']} by {one['owner']}, due {one['due']} ({one['state']})" for one in answer["owed"]
        )
        self._line(f"   owed: {owed or 'nothing'}")
        for fault in wrong:
            self._line(self._paint(f"   NOT AS TOLD: {fault}", _RED))

    def stages(self, counts: Mapping[str, int]) -> None:
        """How all customers stand."""
        self._line()
        self.note("everybody: " + ", ".join(f"{number(count)} {stage}" for stage, count in counts.items() if count))

    def end(self, faults: list[str], steps: int, seconds: float) -> None:
        """The last line: how it came out, and the time in all."""
        if faults:
            self._line(self._paint(f"{len(faults)} things did not come out as told:", _RED))
            for fault in faults:
                self._line(f"  {fault}")
        else:
            self._line(self._paint(f"All {steps} steps came out as told.", _GREEN))
        self._line(f"Total time: {seconds:.1f} s")

    def stays(self, url: str) -> None:
        """Where to look at it now."""
        self._line(f"\nIt stays up: {url}  (Ctrl-C ends it)")

    def _verdicts(self, group: list[int], answers: list[Answer]) -> None:
        """Candidates, by their places, that are judged alike; reasons in the language of each answer."""
        names = ", ".join(answers[0]["verdicts"][place]["candidate"] for place in group)
        first, *others = [answer["verdicts"][group[0]] for answer in answers]
        mark, colour = _MARKS[first["verdict"]]
        until = f" until {first['until']}" if first["until"] else ""
        permit = f", with a permit until {first['permit_until']}" if first["permit"] else ""
        self._line(self._paint(f"   {mark} {first['verdict']}{until}: {names}{permit}", colour))
        for reason in first["reasons"]:
            texts = [reason["text"], *_same_reason(reason, others)]
            self._line(f"       {' / '.join(texts)} [{_source(reason)}]")
        for change in first["modifications"]:
            words = ", ".join(f"{name}: {_word(value)}" for name, value in change["set"].items())
            self._line(self._paint(f"       with {words} [{change['by']}]", _DIM))
        for text in unless_texts(first):
            self._line(self._paint(f"       unless {text}", _DIM))

    def _line(self, text: str = "") -> None:
        if self._shown:
            say(text)

    def _paint(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._coloured else text


def alike(verdicts: list[Verdict]) -> list[list[int]]:
    """The places of verdicts, together where they differ in nothing but their candidate."""
    groups: dict[str, list[int]] = {}
    for place, verdict in enumerate(verdicts):
        same = json.dumps({**verdict, "candidate": "", "permit": verdict["permit"] and ""}, sort_keys=True)
        groups.setdefault(same, []).append(place)
    return list(groups.values())


def _standing(answer: Answer) -> str:
    stage, risks = answer["stage"], answer["risks"]
    churn = "unknown" if risks["churn"] is None else f"{risks['churn']:.2f}"
    relapse = "yes" if risks["relapse"] else "no"
    name = f"{stage['name']} since {stage['since']}" if stage else "no stage"
    return f"{SHOP} is {answer['lifecycle']}, {name}; relapse risk: {relapse}, churn risk: {churn}"


def _same_reason(reason: dict[str, Any], others: list[Verdict]) -> list[str]:
    """The reason in the other answers' words; one that ran out of time may lack it."""
    same = [{(one["source"], one["id"]): one["text"] for one in other["reasons"]} for other in others]
    return [texts[key] for texts in same if (key := (reason["source"], reason["id"])) in texts]


def _source(reason: dict[str, Any]) -> str:
    if "lost_to" in reason["facts"]:
        return f"{reason['source']}: {reason['facts']['lost_to']} was chosen"
    return str(reason["id"]) if reason["source"] == "principle" else f"{reason['source']}: {reason['id']}"


def _word(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value).lower()
