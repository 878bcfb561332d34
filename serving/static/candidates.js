// The form of a decision: the candidates that departments want to start.

import { byId, el } from "./dom.js";
import { name, say } from "./words.js";

export const KINDS = {
  marketing: ["newsletter", "upsell", "cross_sell", "win_back", "invitation", "referral"],
  sales: ["upsell", "cross_sell", "upgrade", "renewal", "retention", "rescue_offer"],
  survey: ["csat", "ces", "nps", "interview"],
  service: [
    "ticket_reply", "agent_call", "status_call", "outage_notice", "appointment", "onboarding", "security_notice",
  ],
  billing: [
    "service_credit", "free_service", "refund", "invoice", "payment_reminder", "collections", "suspension",
    "contract_change",
  ],
  legal: ["legal_notice", "safety_notice", "security_notice", "recall"],
};
export const CHANNELS = [
  "email", "sms", "phone", "whatsapp", "push", "app", "chat", "web", "ivr", "letter", "visit", "social",
];
const HOURS_AHEAD = [0, 1, 24, 72, 336];
const MOST = 50;
const PRESETS = {
  departments: [
    ["marketing", "upsell", "email"], ["marketing", "upsell", "whatsapp"], ["sales", "upgrade", "email"],
    ["survey", "nps", "email"], ["service", "agent_call", "phone"],
  ],
  amends: [
    ["sales", "rescue_offer", "email"], ["billing", "service_credit", "email"], ["service", "status_call", "phone"],
  ],
  money: [["billing", "invoice", "email"], ["billing", "payment_reminder", "sms"], ["billing", "suspension", "letter"]],
};

let chosen = PRESETS.departments;

/** Draws the form in the language now chosen; what was filled in stays. */
export function drawForm() {
  const presets = Object.keys(PRESETS).map((preset) =>
    el("button", { type: "button", class: "quiet", onclick: () => fill(PRESETS[preset]) }, say(`preset.${preset}`)),
  );
  byId("presets").replaceChildren(...presets);
  const hours = byId("decision-at").value;
  byId("decision-at").replaceChildren(...HOURS_AHEAD.map((one) => el("option", { value: one }, say(`at.${one}`))));
  byId("decision-at").value = hours || "0";
  fill(chosen);
}

/** Adds a candidate below the others. */
export function addCandidate() {
  fill([...chosen, ["marketing", "newsletter", "email"]]);
  byId("candidates").lastElementChild.querySelector("select").focus();
}

/** The candidates as the API takes them; their ids tell what they are. */
export function candidates() {
  return chosen.map(([domain, kind, channel], place) => {
    return { id: `${place + 1}-${domain}-${kind}`, domain, kind, channel };
  });
}

/** A candidate's department, kind and channel in words. */
export function candidateText({ domain, kind, channel }) {
  return `${name("domain", domain)} · ${name("kind", kind)} · ${name("channel", channel)}`;
}

/** How many milliseconds ahead of now the decision is for. */
export function aheadMs() {
  return Number(byId("decision-at").value) * 3_600_000;
}

function fill(rows) {
  chosen = rows;
  byId("candidates").replaceChildren(...rows.map(row));
  byId("candidate-add").disabled = rows.length >= MOST;
}

function row([domain, kind, channel], place) {
  const change = (field, changed) => {
    fill(chosen.map((one, index) => (index === place ? changed : one)));
    byId("candidates").children[place].querySelector(`[data-field=${field}]`).focus();
  };
  return el(
    "fieldset", {},
    el("legend", { class: "unseen" }, say("candidate", { number: place + 1 })),
    choice("domain", Object.keys(KINDS), domain, (to) => change("domain", [to, KINDS[to][0], channel])),
    choice("kind", KINDS[domain], kind, (to) => change("kind", [domain, to, channel])),
    choice("channel", CHANNELS, channel, (to) => change("channel", [domain, kind, to])),
    removal(place),
  );
}

function choice(field, options, value, take) {
  return el(
    "select",
    { "aria-label": say(`field.${field}`), "data-field": field, onchange: (event) => take(event.target.value) },
    options.map((one) => el("option", { value: one, selected: one === value }, name(field, one))),
  );
}

function removal(place) {
  const remove = () => {
    fill(chosen.filter((_, index) => index !== place));
    byId("candidate-add").focus();
  };
  const label = `${say("candidate.remove")}: ${say("candidate", { number: place + 1 })}`;
  const disabled = chosen.length < 2;
  return el("button", { type: "button", class: "quiet remove", "aria-label": label, disabled, onclick: remove }, "×");
}
