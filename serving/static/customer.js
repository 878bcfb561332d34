// One customer: stage and why, lifecycle, episode, risks, open cases, what is owed.

import { byId, el, moment, problemNote, sentence, shareBar } from "./dom.js";
import { feature, name, now, number, percent, say } from "./words.js";

/** Shows a customer ({data}), what went wrong ({problem}), that we look ({customer}), or that none is named ({}). */
export function showCustomer({ customer, data, problem }) {
  byId("portrait").replaceChildren(...portrait(customer, data, problem));
}

function portrait(customer, data, problem) {
  if (data) return [stageBlock(data), factList(data), ...openCases(data.cases), ...owed(data.obligations)];
  if (problem?.status === 404) return [stranger(customer)];
  if (problem) return [problemNote(problem)];
  return [el("p", { class: "empty" }, say(customer ? "customer.loading" : "customer.none"))];
}

function stranger(customer) {
  const more = say("customer.unknown.more", { customer });
  return el("div", { class: "empty" }, el("strong", {}, say("customer.unknown")), el("p", {}, more));
}

function stageBlock({ customer, stage }) {
  const before = stage.previous ? [" · ", say("stage.before", { stage: name("stage", stage.previous) })] : [];
  return el(
    "div", { class: "stage", "data-stage": stage.name },
    el("p", { class: "stage-of" }, customer),
    el("p", { class: "stage-name", id: "stage-name" }, name("stage", stage.name)),
    el("p", { class: "stage-since" }, `${say("stage.since")} `, moment(stage.since), before),
    el("p", {}, say(`stage.${stage.name}.more`)),
    el("h3", {}, say("drivers")),
    drivers(stage.drivers),
  );
}

function drivers(found) {
  if (!found.length) return el("p", {}, say("drivers.none"));
  const most = Math.max(...found.map(([, share]) => Math.abs(share)));
  const bar = (share) => shareBar(most ? Math.abs(share) / most : 0);
  return el("ol", { class: "drivers" }, found.map(([what, share]) => el("li", {}, feature(what), bar(share))));
}

function factList({ stage, lifecycle, episode, risks, clock }) {
  const confidence = { percent: percent(stage.confidence) };
  const rows = {
    lifecycle: name("lifecycle", lifecycle),
    confidence: say(stage.rules_only ? "confidence.rules" : "confidence.model", confidence),
    episode: episode ? sentence("episode.since", { time: moment(episode.since) }) : say("episode.none"),
    "risk.churn": risks.churn === null ? say("risk.churn.none") : percent(risks.churn),
    "risk.relapse": risks.relapse ? el("strong", {}, say("yes")) : say("no"),
    as_of: moment(clock),
  };
  const pair = ([word, value]) => el("div", {}, el("dt", {}, say(word)), el("dd", {}, value));
  return el("dl", { class: "facts" }, Object.entries(rows).map(pair));
}

function openCases(cases) {
  const open = cases.filter((one) => one.state === "open");
  const solved = cases.length - open.length;
  return [
    el("h3", {}, say("cases")),
    open.length ? el("ul", { class: "cards" }, open.map(openCase)) : el("p", { class: "muted" }, say("cases.none")),
    solved ? el("p", { class: "muted" }, say("cases.solved", { count: number(solved) })) : "",
  ];
}

function openCase(one) {
  const about = [one.category.replaceAll("_", " "), one.product].filter(Boolean).join(" · ");
  return el(
    "li", {},
    el("p", {}, el("b", {}, about), " ", el("code", {}, one.case)),
    el(
      "ul", { class: "inline" },
      el("li", {}, say("case.severity", { severity: one.severity })),
      el("li", { class: one.recurrences > 1 ? "warn" : null }, recurrences(one.recurrences)),
      el("li", {}, sentence("case.opened", { time: moment(one.opened_at) })),
      one.status === "open" ? null : el("li", {}, name("case.status", one.status)),
      promised(one),
    ),
  );
}

function recurrences(count) {
  if (!count) return say("case.first");
  return count === 1 ? say("case.recurrences.one") : say("case.recurrences", { count: number(count) });
}

function promised({ eta }) {
  if (!eta) return el("li", { class: "warn" }, say("case.unpromised"));
  const missed = Date.parse(eta) < now();
  const told = sentence(missed ? "case.missed" : "case.promised", { time: moment(eta) });
  return el("li", { class: missed ? "warn" : null }, told);
}

function owed(obligations) {
  const due = obligations.filter((one) => one.state === "open" || one.state === "breached");
  due.sort((one, other) => one.due.localeCompare(other.due));
  return [
    el("h3", {}, say("owed")),
    due.length ? el("ul", { class: "cards" }, due.map(owedOne)) : el("p", { class: "muted" }, say("owed.none")),
  ];
}

function owedOne({ kind, owner, due, state }) {
  return el(
    "li", { "data-state": state },
    el("p", {}, el("b", {}, name("obligation", kind)), " ", el("span", { class: "tag" }, name("owed", state))),
    el(
      "ul", { class: "inline" },
      el("li", {}, say("owed.by", { owner: name("domain", owner) })),
      el("li", {}, sentence("owed.due", { time: moment(due) })),
    ),
  );
}

/** What a screen reader is told when the stage of the customer shown changes. */
export function announceStage(customer, stage) {
  byId("announcer").textContent = say("stage.announced", { customer, stage: name("stage", stage) });
}

