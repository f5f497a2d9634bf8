// The key of this tab, and what the gateway's answers cost in tokens. Money needs a ledger.
import { html, useState } from "./preact.js";
import { key, number } from "./data.js";

export function Spend({ history, heading, save, needsKey }) {
  const [text, setText] = useState("");
  const metrics = history.last?.metrics || new Map();
  const models = new Map();
  for (const [series, value] of metrics) {
    const match = /^shoal_tokens_total\{(.*)\}$/.exec(series);
    if (!match) continue;
    const [, name] = /model="((?:[^"\\]|\\.)*)"/.exec(match[1]) || [],
      [, direction] = /direction="(\w+)"/.exec(match[1]) || [];
    const row = models.get(name) || { input: 0, output: 0 };
    row[direction] = value;
    models.set(name, row);
  }
  const rows = [...models].filter(([, row]) => row.input + row.output > 0).sort((a, b) => b[1].output - a[1].output);
  return html`<h1 tabindex="-1" ref=${heading}>Keys and spend</h1>
    <section class="card"><h2>Key of this tab</h2>
      <p>${needsKey ? "This gateway requires a key, and this tab has no valid one." : key() ? "The key is accepted." : "The gateway accepts requests without a key."}
      It stays in this tab and is forgotten when the tab closes.</p>
      <form class="row" onSubmit=${(event) => {
        event.preventDefault();
        save(text.trim());
        setText("");
      }}>
        <div><label for="key">API key</label><input id="key" type="password" autocomplete="off" size="40" value=${text} onInput=${(event) => setText(event.target.value)} /></div>
        <button class="main" disabled=${!text.trim()}>Use this key</button><button type="button" disabled=${!key()} onClick=${() => save("")}>Forget it</button></form></section>
    <section class="card"><h2>Tokens of answers, all keys together</h2>${
      rows.length
        ? html`<div class="wide" tabindex="0" role="region" aria-label="Tokens"><table><caption>Since the gateway started.</caption><thead><tr><th scope="col">Model</th><th scope="col" class="number">Read</th><th scope="col" class="number">Written</th></tr></thead>
      <tbody>${rows.map(([name, row]) => html`<tr><th scope="row">${name}</th><td class="number">${number(row.input)}</td><td class="number">${number(row.output)}</td></tr>`)}</tbody></table></div>`
        : html`<p class="empty">No answer yet.</p>`
    }</section>
    <section class="card"><h2>Spend</h2><p class="empty">This gateway has no ledger: it knows no prices, balances or earnings. The operator sets its keys in the configuration (http.keys or SHOAL_API_KEYS).</p></section>`;
}
