// The answer to a decision: each verdict with its reasons, until when, and what would change it.

import { candidateText } from "./candidates.js";
import { byId, el, moment, problemNote, sentence, valueText } from "./dom.js";
import { has, list, name, number, say } from "./words.js";

const STALE_SECONDS = 10;
const MARKS = { allow: "✓", defer: "◷", forbid: "✕" };
const FACT_GROUPS = {
  "stage.name": "stage", lifecycle: "lifecycle", "request.channel": "channel", "consent.state": "consent",
};

/** Shows an answer ({data, asked}, with `version` of the customer now), what went wrong ({problem}), or nothing. */
export function showAnswer({ data, asked, problem, version }) {
  byId("answer").replaceChildren(...parts(data, asked, problem, version));
}

function parts(data, asked, problem, version) {
  if (problem) return [problemNote(problem)];
  if (!data) return [];
  const candidates = new Map(asked.map((one) => [one.id, one]));
  return [
    ...cautions(data, version),
    el("ul", { class: "verdicts" }, data.verdicts.map((one) => verdict(one, candidates, data.choice))),
    footer(data),
  ];
}

function cautions({ state }, version) {
  const told = [];
  const changed = version !== undefined && state.version !== null && version > state.version;
  if (changed) told.push(say("answer.changed"));
  const seconds = state.staleness_seconds;
  if (seconds > STALE_SECONDS) told.push(say("answer.stale", { seconds: number(seconds) }));
  const causes = list(state.degraded.map((one) => name("degraded", one)), "and");
  if (causes) told.push(say("answer.degraded", { causes }));
  return told.map((text) => el("p", { class: "caution" }, text));
}

function verdict(one, candidates, choice) {
  const text = (candidate) => candidateText(candidates.get(candidate));
  return el(
    "li", { "data-verdict": one.verdict },
    el(
      "p", { class: "verdict" },
      mark(one.verdict), " ", el("b", {}, text(one.candidate)),
      choice.includes(one.candidate) ? el("span", { class: "tag" }, say("chosen")) : null,
    ),
    reasons(one.reasons),
    one.lost_to ? el("p", {}, say("lost_to", { candidate: text(one.lost_to) })) : null,
    one.modifications.length ? modifications(one.modifications) : null,
    one.until ? el("p", { class: "until" }, sentence("until", { time: moment(one.until) })) : null,
    one.unless ? unless(one.unless.any) : null,
  );
}

function mark(word) {
  return el("span", { class: "mark" }, el("span", { "aria-hidden": "true" }, MARKS[word]), " ", say(`verdict.${word}`));
}

function reasons(found) {
  if (!found.length) return el("p", { class: "muted" }, say("verdict.free"));
  return el("ul", { class: "reasons" }, found.map(reason));
}

function reason({ source, id, text, facts }) {
  // Who won is told in words of its own.
  const read = Object.entries(facts).filter(([fact]) => fact !== "lost_to");
  const shown = read.map(([fact, value]) => `${factName(fact)}: ${factValue(fact, value)}`);
  return el(
    "li", {},
    text, " ", el("span", { class: "source" }, `${name("source", source)} `, el("code", {}, id)),
    shown.length ? el("p", { class: "facts-read" }, shown.join(" · ")) : null,
  );
}

function modifications(changes) {
  const settings = (set) => Object.entries(set).map(([key, value]) => `${key}: ${valueText(value)}`).join(" · ");
  const told = changes.map(({ set, by }) => el("li", {}, settings(set), " ", el("code", {}, by)));
  return el("div", { class: "modifications" }, el("p", {}, `${say("modification")}:`), el("ul", {}, told));
}

function unless(sets) {
  const told = sets.map((facts) => el("li", {}, list(facts.map(change), "and")));
  return el("div", { class: "unless" }, el("p", {}, `${say("unless")}:`), el("ul", {}, told));
}

function change({ fact, is, would_be: wouldBe }) {
  const values = list(wouldBe.map((value) => factValue(fact, value)), "or");
  return say("unless.one", { fact: factName(fact), values, is: factValue(fact, is) });
}

function factName(fact) {
  return has(`fact.${fact}`) ? say(`fact.${fact}`) : fact;
}

function factValue(fact, value) {
  return valueText(value, FACT_GROUPS[fact]);
}

function footer({ at, state, revisions }) {
  const time = moment(at);
  const judged = state.as_of
    ? sentence("answer.judged", { time, as_of: moment(state.as_of) })
    : sentence("answer.stranger", { time });
  return el("p", { class: "muted" }, judged, " ", say("answer.principles", { revision: revisions.principles }));
}
