// Stages now: how many customers are in each stage and lifecycle.

import { byId, el, moment, problemNote, sentence, shareBar, stageChip } from "./dom.js";
import { name, number, percent, say } from "./words.js";

/** Shows the counts ({data}), what went wrong ({problem}), or that we wait ({}). */
export function showStages({ data, problem }) {
  const place = byId("stages");
  if (data) place.replaceChildren(...counts(data));
  else place.replaceChildren(problem ? problemNote(problem) : el("p", { class: "muted" }, say("stages.loading")));
}

function counts({ as_of: asOf, counts: stages, lifecycles }) {
  const total = sum(stages);
  if (!total) return [el("p", { class: "muted" }, say("stages.none"))];
  const count = number(total);
  const heading = asOf ? sentence("stages.as_of", { count, time: moment(asOf) }) : [say("stages.early", { count })];
  return [
    el("p", { class: "muted" }, heading),
    el("ul", { class: "bars" }, Object.entries(stages).map(([stage, one]) => bar(stage, one, total))),
    el("p", { class: "lifecycles" }, Object.entries(lifecycles).filter(([, one]) => one).map(lifecycle)),
  ];
}

function bar(stage, count, total) {
  return el(
    "li", { "data-stage": stage },
    stageChip(stage), shareBar(count / total),
    el("span", { class: "count" }, number(count)), el("span", { class: "share" }, percent(count / total)),
  );
}

function lifecycle([word, count]) {
  return el("span", {}, el("b", {}, number(count)), ` ${name("lifecycle", word)}`);
}

function sum(counts) {
  return Object.values(counts).reduce((total, count) => total + count, 0);
}
