// Elements and times. Whatever comes from the service becomes text, never markup.

import { dateTime, fromNow, list, name, number, say } from "./words.js";

/** An element with attributes ("on…" are listeners; null and false are left out) and children (text or nodes). */
export function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value !== null && value !== false) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== ""));
  return made;
}

export function svg(tag, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

export function byId(id) {
  return document.getElementById(id);
}

/** Fills a sentence of words.json whose {places} are nodes, not text. */
export function sentence(key, places) {
  const mark = "\u0000";
  const marks = Object.fromEntries(Object.keys(places).map((place) => [place, `${mark}${place}${mark}`]));
  const parts = say(key, marks).split(mark);
  return parts.map((part, index) => (index % 2 ? places[part] : part));
}

/** A moment, with its distance from now, which `refreshTimes` keeps up to date. */
export function moment(iso) {
  return el("time", { datetime: iso, title: iso }, dateTime(iso), " ", distance(iso));
}

function distance(iso) {
  return el("span", { class: "distance", "data-distance": iso }, `(${fromNow(iso)})`);
}

export function refreshTimes() {
  for (const one of document.querySelectorAll("[data-distance]")) {
    const text = `(${fromNow(one.dataset.distance)})`;
    if (one.textContent !== text) one.textContent = text;
  }
}

export function stageChip(stage) {
  return el("span", { class: "chip", "data-stage": stage }, name("stage", stage));
}

/** A bar of a share in [0, 1], in the colour of its stage; for the eye only: the words beside it say the same. */
export function shareBar(share) {
  const fill = el("span", { class: "fill", hidden: share === 0 });
  // Set through the object model: the page's policy allows no style attribute.
  fill.style.inlineSize = `${100 * share}%`;
  return el("span", { class: "track", "aria-hidden": "true" }, fill);
}

/** A problem as the service told it: its title and detail, and each field at fault. */
export function problemNote(problem) {
  const faults = problem.errors.map((fault) => el("li", {}, el("code", {}, fault.pointer), ` ${fault.problem}`));
  return el(
    "div", { class: "problem", role: "alert" },
    el("strong", {}, problem.title), el("p", {}, problem.detail),
    faults.length > 1 ? el("ul", {}, faults) : null,
  );
}

/** A value of a fact or of a signal's data, in words where it has some. */
export function valueText(value, group = "") {
  if (value === null || value === undefined) return "—";
  if (typeof value === "boolean") return say(value ? "yes" : "no");
  if (typeof value === "number") return number(value);
  if (Array.isArray(value)) return list(value.map((one) => valueText(one, group)), "and");
  if (typeof value === "object") return JSON.stringify(value);
  return group ? name(group, value) : value.replaceAll("\u001f", " · ");
}
