// Who is here now, how many rounds run, and where their time goes; and the page of one member.
import { html, useEffect, useRef, useState } from "./preact.js";
import uPlot from "./uplot.js";
import { PHASES, ago, getJson, number, percent, total } from "./data.js";

const PAGE_SIZE = 25;

export function Now({ history, heading }) {
  const now = history.last;
  const nodes = now?.nodes || [];
  const serving = nodes.filter((node) => node.state === "serving");
  const slots = serving.reduce((sum, node) => sum + (node.slots || 0), 0);
  const running = serving.reduce((sum, node) => sum + (node.running || 0), 0);
  const rate = history.samples.slice(-5).reduce((sum, [, value], _, all) => sum + value / all.length, 0);
  return html`<h1 tabindex="-1" ref=${heading}>Now</h1>
    ${
      !now
        ? html`<p>Asking the gateway.</p>`
        : html`
    <dl class="tiles">
      <${Tile} name="Members" value=${number(serving.length)} />
      <${Tile} name="Busy slots" value=${`${running} of ${slots}`} />
      <${Tile} name="Rounds per second" value=${number(rate)} />
      <${Tile} name="Rounds so far" value=${number(now.rounds)} />
      <${Tile} name="Requests waiting" value=${number(total(now.metrics, "shoal_asks_waiting"))} />
    </dl>
    <div class="two">
      <section class="card"><h2>Rounds per second</h2><${RateChart} samples=${history.samples} /></section>
      <section class="card"><h2>Where time goes</h2><${Phases} history=${history} /></section>
    </div>
    <section class="card"><h2>Members</h2>${nodes.length ? html`<${Members} nodes=${nodes} history=${history} />` : html`<${NoMember} ready=${now.ready} />`}</section>`
    }`;
}

function Tile({ name, value }) {
  return html`<div class="tile"><dt>${name}</dt><dd>${value}</dd></div>`;
}

function NoMember({ ready }) {
  return html`<div class="empty">No member yet: start one with
    <pre>shoal-node --gateway ${ready.quic} --model bundled:shoal-sum</pre></div>`;
}

/** The rate over the last ten minutes. */
function RateChart({ samples }) {
  const box = useRef(),
    plot = useRef();
  const enough = samples.length > 1;
  useEffect(() => {
    if (!enough) return;
    const style = getComputedStyle(document.documentElement);
    const ink = style.getPropertyValue("color") || "gray";
    const [stroke, line] = ["--accent", "--line"].map((name) => resolved(name, box.current));
    const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
    const axis = {
      stroke: resolved("--soft", box.current) || ink,
      grid: { stroke: line, width: 1 },
      ticks: { show: false },
    };
    plot.current = new uPlot(
      {
        width: box.current.clientWidth,
        height: 180,
        cursor: { show: false },
        legend: { show: false },
        scales: {
          x: { range: (_, min, max) => [Math.min(min, max - 120), max] },
          y: { range: (_, __, max) => [0, Math.max(1, max * 1.1)] },
        },
        axes: [
          { ...axis, space: 90, values: (_, times) => times.map((at) => clock.format(at * 1000)) },
          { ...axis, size: 40 },
        ],
        series: [{}, { stroke, width: 2, points: { show: false } }],
      },
      [[], []],
      box.current,
    );
    const observer = new ResizeObserver(() => plot.current.setSize({ width: box.current.clientWidth, height: 180 }));
    observer.observe(box.current);
    return () => {
      observer.disconnect();
      plot.current.destroy();
      plot.current = null;
    };
  }, [enough]);
  useEffect(() => {
    plot.current?.setData([samples.map(([at]) => at), samples.map(([, value]) => value)]);
  }, [samples]);
  const last = samples.at(-1)?.[1] || 0;
  return enough
    ? html`<div class="chart" ref=${box} role="img" aria-label=${`Rounds per second since this page was opened; ${number(last)} now`}></div>`
    : html`<p class="soft">The chart begins when this page opens.</p>`;
}

/** The colour behind a custom property, as a canvas needs it. */
function resolved(name, element) {
  const probe = document.createElement("span");
  probe.style.color = `var(${name})`;
  element.append(probe);
  const color = getComputedStyle(probe).color;
  probe.remove();
  return color;
}

function Phases({ history }) {
  const { first, last } = history;
  // What happened while the page was open; before anything did, all since the gateway's start.
  const recent = last.rounds > first.rounds;
  const seconds = PHASES.map((phase) => Math.max(0, last.phases[phase] - (recent ? first.phases[phase] : 0)));
  const sum = seconds.reduce((a, b) => a + b, 0);
  if (!sum) return html`<p class="empty">No round yet. <a href="#playground">Ask something</a>.</p>`;
  return html`<p class="soft">${recent ? "Since this page was opened" : "Since the gateway started"}</p>
    <div class="stack" aria-hidden="true">${seconds.map((value, at) => html`<span class="c${at + 1}" style=${{ width: `${(100 * value) / sum}%` }}></span>`)}</div>
    <ul class="legend">${PHASES.map((phase, at) => html`<li><span class="swatch c${at + 1}"></span>${phase} ${percent(seconds[at] / sum)}</li>`)}</ul>`;
}

const COLUMNS = [
  ["Model", (node) => node.model || ""],
  ["Kinds", (node) => (node.tags || []).join(", ")],
  ["State", (node) => node.state],
  ["Load", (node) => (node.running || 0) / (node.slots || 1)],
  ["Writer", (node) => node.standing.writer],
  ["Judge", (node) => node.standing.judge],
  ["Tokens/s", (node) => node.tokens_per_second || 0],
  ["Last answer", (node) => node.work?.last_answer || 0],
  ["Id", (node) => node.id],
];

function Members({ nodes, history }) {
  const [filter, setFilter] = useState(""),
    [[column, down], sort] = useState([0, false]),
    [page, turn] = useState(0);
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  const hits = nodes.filter((node) =>
    words.every((word) =>
      [node.model, node.id, node.operator, node.state, ...(node.tags || [])].join(" ").toLowerCase().includes(word),
    ),
  );
  const value = COLUMNS[column][1];
  hits.sort((a, b) => {
    const [x, y] = [value(a), value(b)];
    return (x < y ? -1 : x > y ? 1 : 0) * (down ? -1 : 1);
  });
  const pages = Math.max(1, Math.ceil(hits.length / PAGE_SIZE)),
    at = Math.min(page, pages - 1);
  return html`<div class="row"><div><label for="filter">Filter by model, kind, operator or id</label>
      <input id="filter" type="search" value=${filter} onInput=${(event) => {
        setFilter(event.target.value);
        turn(0);
      }} /></div></div>
    <div class="wide" tabindex="0" role="region" aria-label="Members"><table><caption>${hits.length} of ${nodes.length} nodes. Standing is measured on hidden questions; 0 is a guess.</caption>
    <thead><tr>${COLUMNS.map(
      (
        [name],
        index,
      ) => html`<th scope="col" aria-sort=${index === column ? (down ? "descending" : "ascending") : null}>
      <button onClick=${() => sort([index, index === column ? !down : index > 2])}>${name}${index === column ? (down ? " ↓" : " ↑") : ""}</button></th>`,
    )}</tr></thead>
    <tbody>${hits.slice(at * PAGE_SIZE, (at + 1) * PAGE_SIZE).map(
      (node) => html`<tr key=${node.id}>
      <td>${node.model || "in its exam"}</td><td>${(node.tags || []).join(", ") || "–"}</td>
      <td>${node.state}${node.standing.probation ? ", on probation" : ""}</td>
      <td>${node.slots == null ? "–" : `${node.running} of ${node.slots}`}</td>
      <td>${number(node.standing.writer)} <${Spark} values=${history.standings.get(node.id)} /></td><td>${number(node.standing.judge)}</td>
      <td>${number(node.tokens_per_second, 0)}</td><td>${ago(node.work?.last_answer)}</td>
      <td><a class="mono" href="#node/${node.id}" aria-label=${`Member ${node.short_id}`}>${node.short_id}</a></td></tr>`,
    )}</tbody></table></div>
    ${
      pages > 1 &&
      html`<div class="row"><button disabled=${at === 0} onClick=${() => turn(at - 1)}>Previous</button>
      <span role="status">Page ${at + 1} of ${pages}</span><button disabled=${at + 1 >= pages} onClick=${() => turn(at + 1)}>Next</button></div>`
    }`;
}

/** How the standing changed while the page was open. */
function Spark({ values }) {
  if (!values || values.length < 3) return null;
  const [low, high] = [Math.min(...values), Math.max(...values)],
    span = high - low || 1;
  const points = values.map(
    (value, at) =>
      `${((78 * at) / (values.length - 1) + 1).toFixed(1)},${(17 - (16 * (value - low)) / span).toFixed(1)}`,
  );
  return html`<svg class="spark" viewBox="0 0 80 18" aria-hidden="true"><path d=${`M${points.join("L")}`} /></svg>`;
}

/** The page for the owner of one member: work, standing, and what moved it. */
export function Member({ id, history, heading }) {
  const [standing, setStanding] = useState(null),
    [error, setError] = useState(null);
  const node = history.last?.nodes.find((node) => node.id === id);
  const writer = node?.standing.writer;
  useEffect(() => {
    getJson(`/v1/nodes/${encodeURIComponent(id)}/standing?format=json`).then(setStanding, setError);
  }, [id, writer]);
  const work = node?.work;
  return html`<h1 tabindex="-1" ref=${heading}>${node?.model || "Member"} <span class="mono soft">${id.slice(0, 10)}</span></h1>
    ${error && html`<p class="error" role="alert">${error.message}</p>`}
    ${
      node &&
      html`<dl class="tiles">
      <${Tile} name="Answers" value=${number(work?.answers)} />
      <${Tile} name="Ballots" value=${number(work?.ballots)} /><${Tile} name="Failures" value=${number(work?.failures)} />
      <${Tile} name="First token" value=${node.first_token_seconds == null ? "–" : `${number(node.first_token_seconds)} s`} />
      <${Tile} name="Last answer" value=${ago(work?.last_answer)} />
      <${Tile} name="Weight as writer" value=${number(node.standing.writer)} /><${Tile} name="Weight as judge" value=${number(node.standing.judge)} /></dl>
      <p class="soft">Counted since the node joined, the gateway's own rounds with known questions included. Earnings need a ledger, which this gateway does not have.
      ${node.page && html` <a href="${node.page}">Every number with its reason</a>`}</p>`
    }
    ${
      work?.absences &&
      html`<section class="card"><h2>Why it was not asked</h2><p class="soft">Rounds in which it was not among the writers when these were chosen, by the first reason that applies.</p>
      <div class="wide" tabindex="0" role="region" aria-label="Reasons"><table><thead><tr><th scope="col">Reason</th><th scope="col" class="number">Rounds</th></tr></thead>
      <tbody>${Object.entries(REASONS).map(([reason, text]) => html`<tr><th scope="row">${text}</th><td class="number">${number(work.absences[reason] || 0)}</td></tr>`)}</tbody></table></div></section>`
    }
    ${
      standing &&
      html`<section class="card"><h2>What moved its standing</h2>${
        standing.history?.length
          ? html`<div class="wide" tabindex="0" role="region" aria-label="History"><table>
      <thead><tr><th scope="col">When</th><th scope="col">What</th></tr></thead>
      <tbody>${standing.history.slice(0, 100).map((event) => html`<tr><td>${localTime(event.at)}</td><td class="text">${event.text}</td></tr>`)}</tbody></table></div>`
          : html`<p class="empty">Nothing yet: hidden questions come with ordinary work.</p>`
      }</section>`
    }`;
}

const REASONS = {
  outranked: "Others were expected to answer better",
  kind: "The question is not of its kinds",
  busy: "All its slots were taken",
  silent: "Its machine did not respond",
  capability: "Its model lacks tools, images or completion",
  context: "The question is longer than its context",
  unproven: "One member worked alone, and it has shown nothing yet",
};

function localTime(text) {
  const date = new Date(text.includes("T") ? text : `${text.replace(" UTC", "").replace(" ", "T")}Z`);
  return isNaN(date) ? text : date.toLocaleString();
}
