// What the page asks of the gateway, and how numbers and times are written. Only this file sends requests.

const KEY = "shoal-key";

/** The API key of this tab; "" if none. It is forgotten when the tab closes. */
export function key() {
  return sessionStorage.getItem(KEY) || "";
}
export function setKey(text) {
  text ? sessionStorage.setItem(KEY, text) : sessionStorage.removeItem(KEY);
}

/** An answer of the gateway that is an error. */
export class Refusal extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** Sends a request with the key. @throws {Refusal} with the gateway's own words. */
export async function send(path, options = {}) {
  const headers = { ...options.headers };
  if (key()) headers.authorization = `Bearer ${key()}`;
  let reply;
  try {
    reply = await fetch(path, { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal(0, "The gateway does not answer. Is it running?");
  }
  if (reply.ok || path === "/readyz") return reply;
  let message = `The gateway answered ${reply.status}.`;
  try {
    message = (await reply.json()).error.message || message;
  } catch {
    /* no JSON: the status says it */
  }
  throw new Refusal(reply.status, message);
}

export async function getJson(path, options) {
  return (await send(path, options)).json();
}

/** Reads server-sent events; `each(data, isComment)` gets the text of each. */
export async function readEvents(reply, each) {
  const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    rest += value;
    let end;
    while ((end = rest.indexOf("\n\n")) >= 0) {
      for (const line of rest.slice(0, end).split("\n")) {
        if (line.startsWith("data:")) each(line.slice(5).trim(), false);
        else if (line.startsWith(":")) each(line.slice(1).trim(), true);
      }
      rest = rest.slice(end + 2);
    }
  }
}

/** Prometheus's text as a map from the name with its labels to the value. */
export function parseMetrics(text) {
  const metrics = new Map();
  for (const line of text.split("\n")) {
    if (!line || line[0] === "#") continue;
    const cut = line.lastIndexOf(" ");
    metrics.set(line.slice(0, cut), Number(line.slice(cut + 1)));
  }
  return metrics;
}

/** The sum of all series of a metric, or those with a label. */
export function total(metrics, name, label = "") {
  let sum = 0;
  for (const [series, value] of metrics) {
    if ((series === name || series.startsWith(`${name}{`)) && series.includes(label)) sum += value;
  }
  return sum;
}

export const PHASES = ["select", "generate", "judge", "rank", "fuse"];

/** Takes one look at the whole gateway. */
export async function look() {
  const [ready, nodes, text] = await Promise.all([
    getJson("/readyz"),
    getJson("/v1/nodes"),
    send("/metrics").then((reply) => reply.text()),
  ]);
  const metrics = parseMetrics(text);
  const phases = {};
  for (const phase of PHASES) phases[phase] = total(metrics, "shoal_round_phase_seconds_sum", `phase="${phase}"`);
  return { at: Date.now(), ready, nodes: nodes.data, metrics, phases, rounds: total(metrics, "shoal_rounds_total") };
}

const SAMPLES_MAX = 300;

/** Adds a look to the history of this page: rates, and the standing of each member. */
export function remember(history, now) {
  const last = history.last;
  if (last && now.at > last.at) {
    // After a restart the counters begin again.
    const count = Math.max(0, now.rounds - last.rounds);
    history.samples.push([now.at / 1000, count / ((now.at - last.at) / 1000)]);
    if (history.samples.length > SAMPLES_MAX) history.samples.shift();
  }
  const standings = new Map();
  for (const node of now.nodes) {
    const line = history.standings.get(node.id) || [];
    if (line.at(-1) !== node.standing.writer || line.length < 2) line.push(node.standing.writer);
    standings.set(node.id, line.slice(-40));
  }
  return { first: history.first || now, last: now, samples: [...history.samples], standings };
}
export const NO_HISTORY = { first: null, last: null, samples: [], standings: new Map() };

const TIME = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
export function time(unixSeconds) {
  return unixSeconds ? TIME.format(new Date(unixSeconds * 1000)) : "never";
}
export function ago(unixSeconds) {
  if (!unixSeconds) return "not yet";
  const seconds = Math.max(0, Math.round(Date.now() / 1000 - unixSeconds));
  if (seconds < 90) return `${seconds} s ago`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min ago`;
  return seconds < 129600 ? `${Math.round(seconds / 3600)} h ago` : time(unixSeconds);
}
export function number(value, digits = 2) {
  return value == null ? "–" : value.toLocaleString(undefined, { maximumFractionDigits: digits });
}
export function percent(value) {
  return value == null ? "unknown" : `${number(100 * value, 1)} %`;
}
export function ms(value) {
  return value == null ? "–" : value < 1000 ? `${number(value, 1)} ms` : `${number(value / 1000, 2)} s`;
}
export const DECISIONS = {
  judged: "judges compared the answers",
  agreement: "enough members gave the same answer",
  fallback: "no ballot arrived in time; the largest group won",
  single: "one answer only",
  fused: "a member wrote it from the best answers",
  abstained: "every member abstained",
};
