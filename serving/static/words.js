// Words in the language chosen, and times and numbers as that language writes them.

const WORDS = await (await fetch("/static/words.json")).json();
export const LANGUAGES = ["es", "en"];
const WINDOWED = /^(.+)_(1h|24h|7d|30d)$/;
const DIRECTED = /^(in|out)_(.+)$/;

let language = "en";
// The service's own "now": the latest moment that an answer spoke of (signals, not this computer, may move its clock).
let nowMs = 0;

export function useLanguage(chosen) {
  language = LANGUAGES.includes(chosen) ? chosen : "en";
}

export function currentLanguage() {
  return language;
}

export function has(key) {
  return Object.hasOwn(WORDS, key);
}

/** The words of a key, its {places} filled in. */
export function say(key, places = {}) {
  return WORDS[key][language].replace(/\{(\w+)\}/g, (_, name) => String(places[name] ?? ""));
}

/** The words for a name of a group ("stage", "kind"…); a name we have no words for is shown as it is. */
export function name(group, word) {
  const key = `${group}.${word}`;
  return has(key) ? say(key) : String(word).replaceAll("_", " ");
}

/** A feature in words: of a window, by a channel, or of its own. */
export function feature(word) {
  if (has(`feature.${word}`)) return say(`feature.${word}`);
  const windowed = WINDOWED.exec(word);
  return windowed ? `${directed(windowed[1])} ${say(`window.${windowed[2]}`)}` : directed(word);
}

function directed(word) {
  if (has(`feature.${word}`)) return say(`feature.${word}`);
  const [, direction, what] = DIRECTED.exec(word) ?? [];
  const group = ["channel", "domain"].find((one) => has(`${one}.${what}`));
  return group ? say(`feature.${direction}`, { what: name(group, what) }) : word.replaceAll("_", " ");
}

export function list(words, joint) {
  return words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")}${say(joint)}${words.at(-1)}`;
}

export function number(value) {
  return new Intl.NumberFormat(language, { maximumFractionDigits: 2 }).format(value);
}

export function percent(share) {
  return new Intl.NumberFormat(language, { style: "percent", maximumFractionDigits: 1 }).format(share);
}

export function dateTime(iso) {
  return new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" }).format(new Date(iso));
}

export function clockTime(ms) {
  return new Intl.DateTimeFormat(language, { timeStyle: "medium" }).format(ms);
}

/** Takes note of a moment the service spoke of; its clock never goes back. */
export function learnNow(iso) {
  nowMs = Math.max(nowMs, iso ? Date.parse(iso) : 0);
}

export function now() {
  return nowMs;
}

/** How far a moment lies from now: "3 days ago", "in 4 hours". */
export function fromNow(iso) {
  const minutes = (Date.parse(iso) - nowMs) / 60_000;
  const format = new Intl.RelativeTimeFormat(language, { numeric: "auto" });
  if (Math.abs(minutes) < 1) return format.format(0, "second");
  if (Math.abs(minutes) < 90) return format.format(Math.round(minutes), "minute");
  if (Math.abs(minutes) < 48 * 60) return format.format(Math.round(minutes / 60), "hour");
  return format.format(Math.round(minutes / 1440), "day");
}
