// The service's API: one way to ask, one kind of error.

import { say } from "./words.js";

const KEY = "membrane-key";
const DEADLINE_MS = 8_000;
// The key of this tab, also where the browser keeps nothing for us.
let key = stored();

/** What went wrong, as problem+json tells it; status 0 when no answer came. */
export class Problem extends Error {
  constructor({ status = 0, title, detail = "", errors = [] }) {
    super(title);
    Object.assign(this, { status, title, detail, errors });
  }
}

export function useKey(given) {
  key = given;
  try {
    sessionStorage.setItem(KEY, given);
  } catch {
    // Storage is closed to us: the key lasts as long as the page.
  }
}

/** A path such as "/v1/customers/{customer}" with its parts and query filled in. */
export function path(template, parts = {}, query = {}) {
  const filled = template.replace(/\{(\w+)\}/g, (_, part) => encodeURIComponent(parts[part]));
  const search = new URLSearchParams(Object.entries(query).filter(([, value]) => value !== null));
  return search.size ? `${filled}?${search}` : filled;
}

export function get(url) {
  return ask("GET", url);
}

export function post(url, body) {
  return ask("POST", url, JSON.stringify(body));
}

async function ask(method, url, body) {
  const headers = { Accept: "application/json" };
  if (key) headers.Authorization = `Bearer ${key}`;
  if (body) headers["Content-Type"] = "application/json";
  let response;
  let answer;
  try {
    response = await fetch(url, { method, headers, body, cache: "no-store", signal: AbortSignal.timeout(DEADLINE_MS) });
    answer = await response.json();
  } catch {
    if (response && !response.ok) throw new Problem({ status: response.status, title: String(response.status) });
    throw new Problem({ title: say("error.network"), detail: say("error.network.more") });
  }
  if (!response.ok) throw new Problem(answer);
  return answer;
}

function stored() {
  try {
    return sessionStorage.getItem(KEY) ?? "";
  } catch {
    return "";
  }
}
