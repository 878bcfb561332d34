// The page: which customer, which language, what is asked again every two seconds, and what a click does.

import { get, path, post, useKey } from "./api.js";
import { addCandidate, aheadMs, candidates, drawForm } from "./candidates.js";
import { announceStage, showCustomer } from "./customer.js";
import { byId, refreshTimes } from "./dom.js";
import { showStages } from "./stages.js";
import { olderTimeline, redrawTimeline, refreshTimeline, startTimeline } from "./timeline.js";
import { showAnswer } from "./verdicts.js";
import { clockTime, currentLanguage, LANGUAGES, learnNow, now, say, useLanguage } from "./words.js";

const POLL_MS = 2_000;
const MOST_POLL_MS = 30_000;

const url = new URL(location.href);
const page = {
  customer: { customer: url.searchParams.get("customer") ?? "" },
  stages: {},
  answer: {},
  connection: { word: "connecting" },
  wait: POLL_MS,
  heardMs: 0,
  // The version of the customer that the timeline tells of.
  toldVersion: null,
  locked: false,
};
let timer = 0;
let round = 0;

useLanguage(url.searchParams.get("lang") ?? preferredLanguage());
wire();
drawAll();
poll();

function preferredLanguage() {
  return navigator.languages.map((one) => one.slice(0, 2)).find((one) => LANGUAGES.includes(one)) ?? "en";
}

function wire() {
  byId("customer-id").value = page.customer.customer;
  on("customer-form", "submit", () => choose(byId("customer-id").value.trim()));
  on("key-form", "submit", unlock);
  on("decision-form", "submit", decide);
  on("candidate-add", "click", addCandidate);
  on("timeline-older", "click", olderTimeline);
  on("languages", "click", (event) => event.target.value && speak(event.target.value));
  document.addEventListener("visibilitychange", poll);
  addEventListener("online", poll);
}

function on(id, event, handle) {
  byId(id).addEventListener(event, (happened) => {
    happened.preventDefault();
    handle(happened);
  });
}

function choose(customer) {
  page.customer = { customer };
  page.answer = {};
  page.toldVersion = null;
  remember("customer", customer);
  startTimeline("");
  showCustomer(page.customer);
  showAnswer(page.answer);
  poll();
}

function speak(language) {
  useLanguage(language);
  remember("lang", language);
  drawAll();
  if (page.answer.data) decide();
}

function remember(parameter, value) {
  url.searchParams.set(parameter, value);
  history.replaceState(null, "", url);
}

function unlock() {
  useKey(byId("key").value);
  page.locked = false;
  byId("key-form").hidden = true;
  poll();
}

function drawAll() {
  document.documentElement.lang = currentLanguage();
  for (const one of document.querySelectorAll("[data-word]")) one.textContent = say(one.dataset.word);
  for (const one of document.querySelectorAll("[data-label]")) one.setAttribute("aria-label", say(one.dataset.label));
  byId("customer-id").placeholder = say("customer.hint");
  for (const one of byId("languages").children) {
    one.setAttribute("aria-pressed", String(one.value === currentLanguage()));
  }
  drawForm();
  showCustomer(page.customer);
  showStages(page.stages);
  showAnswer(page.answer);
  redrawTimeline();
  showConnection(page.connection);
}

// One round of questions, now; then again and again, slower while nobody answers, and not at all while hidden.
async function poll() {
  clearTimeout(timer);
  round += 1;
  if (document.hidden) return showConnection({ word: "paused" });
  if (page.locked) return;
  const mine = round;
  const failed = await ask(() => mine === round);
  if (mine !== round) return;
  page.wait = failed ? Math.min(2 * page.wait, MOST_POLL_MS) : POLL_MS;
  refreshTimes();
  timer = setTimeout(poll, page.wait);
}

// Whether nobody answered. `current` says whether the answers are still wanted.
async function ask(current) {
  try {
    const stages = await get("/v1/stages");
    if (!current()) return false;
    learnNow(stages.as_of);
    changed("stages", { data: stages }, showStages);
    if (page.customer.customer) await askCustomer(page.customer.customer, current);
    if (current()) heard();
    return false;
  } catch (problem) {
    if (current()) fail(problem);
    return true;
  }
}

async function askCustomer(customer, current) {
  try {
    const data = await get(path("/v1/customers/{customer}", { customer }));
    if (current()) await takeCustomer(customer, data);
  } catch (problem) {
    if (problem.status !== 404) throw problem;
    if (!current()) return;
    changed("customer", { customer, problem }, showCustomer);
    startTimeline("");
  }
}

async function takeCustomer(customer, data) {
  const before = page.customer.data;
  learnNow(data.clock);
  changed("customer", { customer, data }, showCustomer);
  if (before && before.stage.name !== data.stage.name) announceStage(customer, data.stage.name);
  if (!before) startTimeline(customer);
  if (page.toldVersion === data.version) return;
  if (page.answer.data) showAnswer({ ...page.answer, version: data.version });
  await refreshTimeline();
  page.toldVersion = data.version;
}

// Draws a part only when what it shows has changed: a page that stands still is easier to read.
function changed(part, fresh, show) {
  const same = JSON.stringify(page[part]) === JSON.stringify(fresh);
  page[part] = fresh;
  if (!same) show(fresh);
}

function heard() {
  page.heardMs = Date.now();
  showConnection({ word: "live" });
}

function fail(problem) {
  if (problem.status === 401) return lock(problem);
  const silent = page.heardMs ? "offline" : "offline.never";
  showConnection({ word: problem.status ? "troubled" : silent, title: problem.title, time: clockTime(page.heardMs) });
  if (!page.stages.data) changed("stages", { problem }, showStages);
  if (page.customer.customer && !page.customer.data) changed("customer", { ...page.customer, problem }, showCustomer);
}

function lock(problem) {
  page.locked = true;
  byId("key-problem").textContent = byId("key").value ? problem.detail : "";
  byId("key-form").hidden = false;
  byId("key").focus();
}

function showConnection(connection) {
  page.connection = connection;
  const text = say(connection.word, connection);
  const place = byId("connection");
  place.dataset.state = connection.word.split(".")[0];
  if (place.textContent !== text) place.textContent = text;
}

async function decide() {
  const { customer } = page.customer;
  if (!customer) {
    byId("customer-id").focus();
    return showAnswer({ problem: { title: say("ask.customer"), detail: "", errors: [] } });
  }
  const asked = candidates();
  const request = { customer, candidates: asked, language: currentLanguage() };
  if (aheadMs() && now()) request.at = new Date(now() + aheadMs()).toISOString();
  byId("answer").setAttribute("aria-busy", "true");
  const answer = await post("/v1/decisions", request).then((data) => ({ data, asked }), (problem) => ({ problem }));
  byId("answer").removeAttribute("aria-busy");
  if (customer !== page.customer.customer) return;
  if (answer.problem?.status === 401) lock(answer.problem);
  page.answer = answer;
  showAnswer(answer);
}
