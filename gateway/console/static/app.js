// The frame: header, navigation, the key, and one page for each part of the hash.
import { html, render, useEffect, useRef, useState } from "./preact.js";
import { NO_HISTORY, key, look, remember, send, setKey } from "./data.js";
import { Now, Member } from "./now.js";
import { Rounds, Round } from "./rounds.js";
import { Playground } from "./playground.js";
import { Spend } from "./spend.js";

const PAGES = [
  ["now", "Now"],
  ["rounds", "Rounds"],
  ["playground", "Playground"],
  ["keys", "Keys and spend"],
];
const INTERVAL = 2000;

function place() {
  return (location.hash.slice(1) || "now").split("/");
}

function App() {
  const [[page, id], go] = useState(place());
  const [history, setHistory] = useState(NO_HISTORY);
  const [error, setError] = useState(null);
  const [needsKey, setNeedsKey] = useState(null);
  const [keyCount, setKeyCount] = useState(0);
  const heading = useRef();

  useEffect(() => {
    const moved = () => {
      go(place());
      heading.current?.focus();
    };
    addEventListener("hashchange", moved);
    return () => removeEventListener("hashchange", moved);
  }, []);
  useEffect(() => {
    const name = PAGES.find(([path]) => path === page)?.[1] || (page === "node" ? "Member" : "Console");
    document.title = `${name} – Shoal`;
  }, [page, id]);
  // The models need a key where everything else does, and cost nothing.
  useEffect(() => {
    send("/v1/models").then(
      () => setNeedsKey(false),
      (refusal) => setNeedsKey(refusal.status === 401 ? refusal : false),
    );
  }, [keyCount]);
  useEffect(() => {
    let timer,
      isOver = false;
    const tick = async () => {
      if (!document.hidden) {
        try {
          const now = await look();
          if (isOver) return;
          setHistory((before) => remember(before, now));
          setError(null);
        } catch (failure) {
          if (!isOver) setError(failure);
        }
      }
      if (!isOver) timer = setTimeout(tick, INTERVAL);
    };
    tick();
    return () => {
      isOver = true;
      clearTimeout(timer);
    };
  }, [keyCount]);

  const saved = (text) => {
    setKey(text);
    setKeyCount((count) => count + 1);
  };
  const props = { history, heading, id, needsKey };
  const body = content(page, props, saved);
  const ready = history.last?.ready;
  return html`
    <a class="skip" href="#${page}" onClick=${(event) => {
      event.preventDefault();
      heading.current?.focus();
    }}>Skip to content</a>
    <header>
      <span class="name"><img src="/console/favicon.svg" alt="" />Shoal</span>
      <nav aria-label="Console">${PAGES.map(
        ([path, name]) => html`
        <a href="#${path}" aria-current=${path === page || (path === "now" && page === "node") ? "page" : null}>${name}</a>`,
      )}
        <a href="/docs">API</a></nav>
      <span class="status" role="status"><${Status} error=${error} ready=${ready} /></span>
    </header>
    <main>${error && html`<p class="error" role="alert">${error.message}</p>`}${body}</main>`;
}

/** The page of this name. Those that ask for data of a key ask for the key first. */
function content(page, props, save) {
  const { id, needsKey, heading } = props;
  if (needsKey && ["rounds", "playground"].includes(page)) {
    return html`<${AskKey} save=${save} refusal=${needsKey} heading=${heading} />`;
  }
  if (page === "rounds") return id ? html`<${Round} key=${id} ...${props} />` : html`<${Rounds} ...${props} />`;
  if (page === "playground") return html`<${Playground} ...${props} />`;
  if (page === "keys") return html`<${Spend} save=${save} ...${props} />`;
  if (page === "node" && id) return html`<${Member} key=${id} ...${props} />`;
  return html`<${Now} ...${props} />`;
}

function Status({ error, ready }) {
  if (error) return html`<span class="bad">No connection</span>`;
  if (!ready) return "Connecting";
  if (ready.status === "ready") return html`<span class="good">Ready</span>`;
  return html`<span class="bad">No member</span>`;
}

function AskKey({ save, refusal, heading }) {
  const [text, setText] = useState("");
  return html`<h1 tabindex="-1" ref=${heading}>A key is needed</h1>
    <form class="card" onSubmit=${(event) => {
      event.preventDefault();
      save(text.trim());
    }}>
      <p>This gateway accepts known API keys only. The key stays in this tab and is forgotten when the tab closes.</p>
      ${key() && html`<p class="error" role="alert">${refusal.message}</p>`}
      <label for="key">API key</label>
      <div class="row"><input id="key" type="password" autocomplete="off" size="40" value=${text} onInput=${(event) => setText(event.target.value)} />
      <button class="main" disabled=${!text.trim()}>Use this key</button></div>
    </form>`;
}

const root = document.getElementById("app");
root.replaceChildren();
render(html`<${App} />`, root);
