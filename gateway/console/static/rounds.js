// Rounds as they happen, the newest ones, and the replay of one.
import { html, useEffect, useState } from "./preact.js";
import { DECISIONS, ago, getJson, ms, number, percent, readEvents, send, time } from "./data.js";

const LIVE_MAX = 50;

export function Rounds({ heading }) {
  const [list, setList] = useState(null),
    [error, setError] = useState(null),
    [ends, setEnds] = useState(0);
  const [live, state] = useLive(() => setEnds((count) => count + 1));
  useEffect(() => {
    getJson("/v1/rounds").then((page) => {
      setList(page);
      setError(null);
    }, setError);
  }, [ends]);
  return html`<h1 tabindex="-1" ref=${heading}>Rounds</h1>
    ${error && html`<p class="error" role="alert">${error.message}</p>`}
    <div class="two"><section class="card"><h2>Live</h2><p class="soft" role="status">${state}</p>
      ${
        live.length
          ? html`<ol class="live">${live.map((round) => html`<li key=${round.number}><${LiveRound} round=${round} /></li>`)}</ol>`
          : html`<p class="empty">Nothing runs now. Rounds of this key appear here while they happen: <a href="#playground">ask something</a>.</p>`
      }
    </section>
    <section class="card"><h2>Newest</h2>${
      !list
        ? html`<p>Asking the gateway.</p>`
        : list.hidden
          ? html`<p class="empty">Others may reach this gateway without a key, so that rounds are not listed: a round's id opens what was asked and answered.</p>`
          : !list.data.length
            ? html`<p class="empty">No round is kept yet.</p>`
            : html`<div class="wide" tabindex="0" role="region" aria-label="Newest rounds"><table><thead><tr><th scope="col">Round</th><th scope="col">Ended</th><th scope="col">Model</th><th scope="col">Decided</th><th scope="col" class="number">Confidence</th><th scope="col" class="number">Took</th></tr></thead>
      <tbody>${list.data.map(
        (
          round,
        ) => html`<tr key=${round.id}><td><a class="mono" href="#rounds/${round.id}">${round.id.slice(0, 8)}</a></td><td>${ago(round.created)}</td><td>${round.model}</td>
        <td>${round.decided}</td><td class="number">${percent(round.confidence)}</td><td class="number">${ms(round.total_ms)}</td></tr>`,
      )}</tbody></table></div>`
    }
    </section></div>`;
}

/** The rounds of this key while they run, newest first, and a word about the connection. */
export function useLive(ended = () => {}) {
  const [rounds, setRounds] = useState([]),
    [state, setState] = useState("Connecting.");
  useEffect(() => {
    const stop = new AbortController();
    let isOver = false,
      wait = 1000;
    const follow = async () => {
      while (!isOver) {
        try {
          const reply = await send("/v1/rounds/live", { signal: stop.signal });
          setState("Connected.");
          wait = 1000;
          await readEvents(reply, (text, isComment) => {
            if (isComment) return;
            const event = JSON.parse(text);
            setRounds((before) => apply(before, event));
            if (event.step === "end") ended();
          });
        } catch (error) {
          if (isOver) return;
          setState(`${error.message} Trying again.`);
        }
        await new Promise((done) => setTimeout(done, wait));
        wait = Math.min(wait * 2, 30000);
      }
    };
    follow();
    return () => {
      isOver = true;
      stop.abort();
    };
  }, []);
  return [rounds, state];
}

/** The list after an event. */
function apply(rounds, event) {
  if (event.step === "gap") return rounds;
  const at = rounds.findIndex((round) => round.number === event.number);
  if (at < 0)
    return [{ number: event.number, id: event.id, last: event, steps: [event] }, ...rounds].slice(0, LIVE_MAX);
  const round = { ...rounds[at], last: event, steps: [...rounds[at].steps, event].slice(-40) };
  return rounds.with(at, round);
}

export function LiveRound({ round }) {
  const { last, id, number: count } = round;
  const name = id
    ? html`<a class="mono" href="#rounds/${id}">${id.slice(0, 8)}</a>`
    : html`<span class="mono">#${count}</span>`;
  const isOver = last.step === "end" || last.step === "failure";
  return html`${isOver && last.step === "end" ? name : html`<span class="mono">${id ? id.slice(0, 8) : `#${count}`}</span>`} <span class="tag">${words(last)}</span> <span class="soft">${ms(last.elapsed_ms)}</span>`;
}

function words(event) {
  switch (event.step) {
    case "start":
      return `started for ${event.model}`;
    case "writing":
      return `${event.done} of ${event.asked} answered`;
    case "judging":
      return `${event.done} of ${event.asked} judged`;
    case "end":
      return `${event.round.decided}${event.round.winner_model ? `: ${event.round.winner_model}, ${percent(event.round.confidence)}` : ""}`;
    default:
      return `no answer: ${event.reason}`;
  }
}

export function Round({ id, heading }) {
  const [round, setRound] = useState(null),
    [error, setError] = useState(null);
  useEffect(() => {
    getJson(`/v1/rounds/${encodeURIComponent(id)}`).then(setRound, setError);
  }, [id]);
  return html`<h1 tabindex="-1" ref=${heading}>Round ${id.slice(0, 8)}</h1><p><a href="#rounds">All rounds</a></p>
    ${error && html`<p class="error" role="alert">${error.message}</p>`}${round && html`<${Replay} round=${round} />`}`;
}

/** Everything that led to an answer. */
export function Replay({ round }) {
  const winner = round.candidates[round.winner];
  return html`<dl class="tiles"><div class="tile"><dt>Confidence</dt><dd>${percent(round.confidence)}</dd></div>
      <div class="tile"><dt>Whole time</dt><dd>${ms(round.timings_ms.total)}</dd></div><div class="tile"><dt>Candidates</dt><dd>${round.candidates.length}</dd></div>
      <div class="tile"><dt>Ballots</dt><dd>${round.ballots.length}</dd></div></dl>
    <section class="card"><h2>How it was decided</h2><p><strong>${round.decided}</strong>: ${DECISIONS[round.decided] || ""}.
      ${winner && html` The winner is candidate ${round.winner} by ${winner.model}${round.ranking.margin > 0 ? `, ahead by ${number(round.ranking.margin)} log-odds` : ""}.`}
      ${round.ranking.cyclic ? " The majorities of the judges contain a cycle." : ""}</p>
      <p class="soft">Asked for ${round.model}, ended ${time(round.created)}. Guessed kinds: ${kinds(round.kinds)}. Tokens: ${number(round.tokens.prompt)} read, ${number(round.tokens.completion)} written, ${number(round.tokens.judging)} read by judges.</p></section>
    <section class="card"><h2>Candidates</h2>${
      round.candidates.length
        ? html`<div class="candidates">${round.candidates.map((candidate) => html`<${Candidate} candidate=${candidate} isWinner=${candidate.index === round.winner} />`)}</div>`
        : html`<p class="empty">Nobody wrote an answer.</p>`
    }${round.fused && html`<h3>${round.decided === "fused" ? `Fused answer by ${round.fused.model}` : "What was sent instead"}</h3><pre>${round.fused.text}</pre>`}</section>
    ${round.candidates.length > 1 && html`<${Strengths} round=${round} />`}
    <${Ballots} round=${round} /><${Timeline} round=${round} />`;
}

function kinds(of) {
  const likely = Object.entries(of || {})
    .sort((a, b) => b[1] - a[1])
    .slice(0, 3);
  return likely.map(([kind, p]) => `${kind} ${percent(p)}`).join(", ") || "none";
}

function Candidate({ candidate, isWinner }) {
  return html`<article class=${`candidate${isWinner ? " winner" : ""}`}><h3>${candidate.index}: ${candidate.model} ${isWinner && html`<span class="tag good">winner</span>`}</h3>
    <pre tabindex="0" role="region" aria-label=${`Text of candidate ${candidate.index}`}>${candidate.text || (candidate.tool_calls?.length ? JSON.stringify(candidate.tool_calls, null, 1) : "(empty)")}</pre>
    <p class="soft">right ${percent(candidate.p_right)}, best ${percent(candidate.p_best)}<br />first piece ${ms(candidate.first_piece_ms)}, all ${ms(candidate.took_ms)}, ${number(candidate.completion_tokens)} tokens<br />
    <a class="mono" href="#node/${candidate.writer}">${candidate.writer.slice(0, 10)}</a></p></article>`;
}

/** The information that this round's ballots give about a candidate's strength, in log-odds. */
function standardError(round, index) {
  const strength = (at) => round.candidates[at]?.strength ?? 0;
  let information = 0;
  for (const ballot of round.ballots) {
    for (const { a, b } of ballot.pairs || []) {
      if (a !== index && b !== index) continue;
      const p = 1 / (1 + Math.exp(strength(b) - strength(a)));
      information += p * (1 - p);
    }
  }
  // Likelihoods are in other units than strengths, so that they give no error.
  return information > 0 ? 1 / Math.sqrt(information) : null;
}

function Strengths({ round }) {
  const rows = round.candidates.map((candidate) => ({ candidate, error: standardError(round, candidate.index) }));
  const low = Math.min(0, ...rows.map(({ candidate, error }) => candidate.strength - Math.min(error || 0, 5)));
  const high = Math.max(0, ...rows.map(({ candidate, error }) => candidate.strength + Math.min(error || 0, 5)));
  const at = (value) => `${(100 * (Math.min(Math.max(value, low), high) - low)) / (high - low || 1)}%`;
  const width = (from, to) => `${(100 * (Math.min(to, high) - Math.max(from, low))) / (high - low || 1)}%`;
  return html`<section class="card"><h2>Strengths</h2><div class="wide" tabindex="0" role="region" aria-label="Strengths"><table class="gantt"><caption>Strength of each candidate in log-odds. The line is one standard error, from the pairs that judges compared in this round and without the judges' weights; likelihoods give none.</caption>
    <thead><tr><th scope="col">Candidate</th><th scope="col" class="number">Strength</th><th scope="col" class="number">± error</th><th scope="col"><span class="visually-hidden">Bar</span></th></tr></thead>
    <tbody>${rows.map(
      ({
        candidate,
        error,
      }) => html`<tr><th scope="row">${candidate.index}: ${candidate.model}</th><td class="number">${number(candidate.strength)}</td><td class="number">${error == null ? "–" : number(error)}</td>
      <td><div class="bar" aria-hidden="true"><span class=${candidate.index === round.winner ? "c4" : "c1"} style=${{ left: at(Math.min(0, candidate.strength)), width: width(Math.min(0, candidate.strength), Math.max(0, candidate.strength)) }}></span>
      ${error != null && html`<span class="whisker" style=${{ left: at(candidate.strength - error), width: width(candidate.strength - error, candidate.strength + error) }}></span>`}</div></td></tr>`,
    )}</tbody></table></div></section>`;
}

function Ballots({ round }) {
  if (!round.ballots.length)
    return html`<section class="card"><h2>Ballots</h2><p class="empty">No judge was asked${round.decided === "agreement" ? ": the writers agreed" : ""}.</p></section>`;
  return html`<section class="card"><h2>Ballots</h2><div class="wide" tabindex="0" role="region" aria-label="Ballots"><table><caption>One row for each judge. A likelihood is the log-probability that the judge gives to the text; a preference is P(this candidate is better), averaged over its pairs.</caption>
    <thead><tr><th scope="col">Judge</th>${round.candidates.map((candidate) => html`<th scope="col" class="number">${candidate.index}${candidate.index === round.winner ? " (winner)" : ""}</th>`)}<th scope="col" class="number">Took</th></tr></thead>
    <tbody>${round.ballots.map(
      (
        ballot,
      ) => html`<tr><th scope="row"><a href="#node/${ballot.judge}">${ballot.model}</a>${ballot.reasoned ? " (reasoned)" : ""}</th>
      ${round.candidates.map((candidate) => html`<td class="number">${cell(ballot, candidate.index)}</td>`)}<td class="number">${ms(ballot.took_ms)}</td></tr>`,
    )}</tbody></table></div></section>`;
}

function cell(ballot, index) {
  if (ballot.scores) {
    const score = ballot.scores.find((score) => score.candidate === index);
    return score ? number(score.logprob) : "–";
  }
  const shares = (ballot.pairs || [])
    .filter(({ a, b }) => a === index || b === index)
    .map(({ a, p }) => (a === index ? p : 1 - p));
  return shares.length ? percent(shares.reduce((a, b) => a + b) / shares.length) : "–";
}

function Timeline({ round }) {
  const t = round.timings_ms,
    whole = Math.max(t.total, 0.001);
  const rows = [];
  let start = 0;
  ["select", "generate", "judge", "rank", "fuse"].forEach((phase, at) => {
    if (t[phase] > 0) rows.push([phase, start, t[phase], at + 1]);
    if (phase === "generate")
      round.candidates.forEach((candidate) =>
        rows.push([`candidate ${candidate.index}`, start, candidate.took_ms, 2, candidate.first_piece_ms]),
      );
    if (phase === "judge")
      round.ballots.forEach((ballot) => rows.push([`judge ${ballot.model}`, start, ballot.took_ms, 3]));
    start += t[phase];
  });
  const share = (value) => `${Math.min(100, (100 * value) / whole)}%`;
  return html`<section class="card"><h2>Timeline</h2><div class="wide" tabindex="0" role="region" aria-label="Timeline"><table class="gantt"><caption>Each bar begins with its phase; a line marks the first piece of text. Members that start later are drawn from the start of the phase.</caption>
    <thead><tr><th scope="col">What</th><th scope="col" class="number">Took</th><th scope="col"><span class="visually-hidden">Bar</span></th></tr></thead>
    <tbody>${rows.map(
      ([
        name,
        from,
        took,
        color,
        mark,
      ]) => html`<tr><th scope="row">${name}</th><td class="number">${ms(took)}</td><td><div class="bar" aria-hidden="true">
      <span class="c${color}" style=${{ left: share(from), width: share(Math.min(took, whole - from)) }}></span>${mark > 0 && html`<span class="mark" style=${{ left: share(from + mark) }}></span>`}</div></td></tr>`,
    )}</tbody></table></div></section>`;
}
