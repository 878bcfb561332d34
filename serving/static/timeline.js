// A customer's timeline, newest first: signals, stage changes, obligations, acts; and the ribbon of stages above it.

import { get, path } from "./api.js";
import { byId, el, moment, problemNote, sentence, stageChip, svg, valueText } from "./dom.js";
import { dateTime, has, list, name, now, say } from "./words.js";

const PAGE = 30;
// What is told of a signal at a glance, in this order; the rest is behind "data".
const TOLD = [
  "domain", "kind", "channel", "direction", "category", "product", "old", "new", "severity", "case", "eta",
  "resolution_code", "outcome", "instrument", "score", "metric", "value", "amount", "currency", "target", "granted",
  "reason",
];
const GROUPS = { domain: "domain", kind: "kind", channel: "channel", owner: "domain" };
const QUOTED = ["text", "verbatim"];

let shown = nothing("");

function nothing(customer) {
  return { customer, items: new Map(), next: null };
}

/** Forgets the customer shown and begins with another. */
export function startTimeline(customer) {
  shown = nothing(customer);
  byId("timeline").hidden = !customer;
  redrawTimeline();
}

/** Fetches the newest page and puts what is new into its place. Throws Problem. */
export async function refreshTimeline() {
  const asked = shown;
  const page = await fetchPage(asked.customer, null);
  if (asked !== shown) return;
  const known = page.items.some((item) => shown.items.has(keyOf(item)));
  if (!known) shown = { ...nothing(asked.customer), next: page.next };
  take(page.items);
}

/** Fetches the page before the oldest shown. */
export async function olderTimeline() {
  const asked = shown;
  try {
    const page = await fetchPage(asked.customer, asked.next);
    if (asked !== shown) return;
    shown.next = page.next;
    take(page.items);
  } catch (problem) {
    byId("timeline-problem").replaceChildren(problemNote(problem));
  }
}

/** Draws everything again, in the language now chosen. */
export function redrawTimeline() {
  byId("timeline-items").replaceChildren();
  for (const entry of shown.items.values()) entry.node = itemNode(entry.item);
  place();
}

function fetchPage(customer, before) {
  return get(path("/v1/customers/{customer}/timeline", { customer }, { limit: PAGE, before }));
}

function take(items) {
  for (const item of items) {
    const key = keyOf(item);
    if (!shown.items.has(key)) shown.items.set(key, { item, node: itemNode(item) });
  }
  place();
}

// Puts every node into its place; those that stand right are not moved, so that focus and open details stay.
function place() {
  const entries = [...shown.items.values()].sort((one, other) => newestFirst(one.item, other.item));
  const nodes = entries.map((entry) => entry.node);
  const home = byId("timeline-items");
  for (const stray of [...home.children].filter((node) => !nodes.includes(node))) stray.remove();
  let standing = home.firstElementChild;
  for (const node of nodes) {
    if (node === standing) standing = standing.nextElementSibling;
    else home.insertBefore(node, standing);
  }
  byId("timeline-older").hidden = shown.next === null;
  const none = nodes.length ? "" : el("p", { class: "muted" }, say("timeline.none"));
  byId("timeline-problem").replaceChildren(none);
  byId("ribbon").replaceChildren(...ribbon(entries.map((entry) => entry.item)));
}

function keyOf(item) {
  return JSON.stringify([item.offset, item.kind, item.id]);
}

// Effects stand above the signal that caused them, as in the service's own order.
function newestFirst(one, other) {
  const effect = (item) => (item.kind === "signal" || item.kind === "act" ? "" : item.id);
  if (one.offset !== other.offset) return other.offset - one.offset;
  return effect(one) < effect(other) ? 1 : -1;
}

function itemNode(item) {
  return el(
    "li", { "data-kind": item.kind, "data-state": item.kind === "obligation" ? item.data.state : null },
    el("p", { class: "when" }, moment(item.time)),
    el("div", { class: "what" }, el("div", {}, TELLERS[item.kind](item)), details(item)),
  );
}

const TELLERS = { signal: tellSignal, stage: tellStage, obligation: tellObligation, act: tellAct };

function tellSignal({ type, data }) {
  const told = TOLD.filter((key) => Object.hasOwn(data, key)).map((key) => ` · ${glance(key, data[key])}`);
  const quotes = QUOTED.filter((key) => data[key]).map((key) => el("p", {}, el("q", {}, data[key])));
  return [el("p", {}, el("b", {}, signalName(type)), told), quotes];
}

function signalName(type) {
  return name("signal", type.replace(/^cx\.|\.v\d+$/g, ""));
}

function glance(key, value) {
  if (key === "eta" && value) return say("case.promised", { time: dateTime(value) });
  if (key === "severity") return say("case.severity", { severity: value });
  const obligation = key === "kind" && has(`obligation.${value}`) && !has(`kind.${value}`);
  return valueText(value, obligation ? "obligation" : GROUPS[key]);
}

function tellStage({ data }) {
  const places = { from: stageChip(data.from), to: stageChip(data.to) };
  const cause = data.cause.type === "due" ? say("timeline.due") : signalName(data.cause.type);
  const change = sentence("timeline.stage", places);
  return el("p", {}, el("b", {}, say("stage")), " ", change, " ", el("span", { class: "muted" }, cause));
}

function tellObligation({ data }) {
  const due = data.state === "open" ? [" · ", sentence("owed.due", { time: moment(data.due) })] : [];
  const what = `: ${name("obligation", data.kind)} · ${say("owed.by", { owner: name("domain", data.owner) })}`;
  return el("p", {}, el("b", {}, name("timeline", data.state)), what, due);
}

function tellAct({ type }) {
  return el("p", {}, el("b", {}, name("act", type)));
}

function details({ type, source, id, data }) {
  const rows = Object.entries({ type, source, id, ...data }).filter(([, value]) => value !== null && value !== "");
  const pairs = rows.map(([key, value]) => [el("dt", {}, key), el("dd", {}, valueText(value))]);
  return el("details", {}, el("summary", {}, say("timeline.data")), el("dl", {}, pairs));
}

// The stages over the time that the items cover, as one band.
function ribbon(items) {
  const changes = items.filter((item) => item.kind === "stage").reverse();
  if (!changes.length) return [];
  const times = items.map((item) => Date.parse(item.time));
  const from = Math.min(...times);
  const to = Math.max(now(), ...times);
  const starts = changes.map(({ data }) => ({ stage: data.to, at: Date.parse(data.at) }));
  starts.unshift({ stage: changes[0].data.from, at: from });
  const ends = [...starts.slice(1).map(({ at }) => at), to];
  const bands = starts.map(({ stage, at }, index) => band(stage, at - from, ends[index] - at, to - from));
  const stages = list(starts.map(({ stage }) => name("stage", stage)), "and");
  const label = say("ribbon", { from: dateTime(from), to: dateTime(to), stages });
  return [
    svg("svg", { viewBox: "0 0 1000 10", preserveAspectRatio: "none", role: "img", "aria-label": label }, ...bands),
    el("p", { class: "muted ends" }, el("span", {}, dateTime(from)), el("span", {}, dateTime(to))),
  ];
}

function band(stage, start, length, whole) {
  const scale = 1000 / Math.max(whole, 1);
  const shape = { x: start * scale, width: Math.max(length, 0) * scale, y: 0, height: 10, "data-stage": stage };
  return svg("rect", shape, svg("title", {}, name("stage", stage)));
}
