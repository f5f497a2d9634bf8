// Asks the swarm, streams the answer, and shows the round beside it and the request as code.
import { html, useEffect, useRef, useState } from "./preact.js";
import { getJson, key, readEvents, send } from "./data.js";
import { Replay } from "./rounds.js";

export function Playground({ heading }) {
  const [models, setModels] = useState(["shoal"]),
    [model, setModel] = useState("shoal");
  const [question, setQuestion] = useState("What is 47 + 385?");
  const [answer, setAnswer] = useState(""),
    [steps, setSteps] = useState([]),
    [error, setError] = useState(null);
  const [isRunning, setRunning] = useState(false),
    [round, setRound] = useState(null);
  const stop = useRef();
  useEffect(() => {
    getJson("/v1/models").then((list) => setModels(list.data.map((model) => model.id)), setError);
    return () => stop.current?.abort();
  }, []);

  const ask = async (event) => {
    event.preventDefault();
    stop.current = new AbortController();
    setAnswer("");
    setSteps([]);
    setError(null);
    setRound(null);
    setRunning(true);
    let id = null;
    try {
      const reply = await send("/v1/chat/completions", {
        method: "POST",
        headers: { "content-type": "application/json" },
        signal: stop.current.signal,
        body: JSON.stringify({ ...body(model, question), shoal: { progress: "reasoning" } }),
      });
      id = reply.headers.get("x-shoal-round");
      await readEvents(reply, (text, isComment) => {
        if (isComment) {
          if (text.startsWith("x-shoal-round:")) id = text.slice(14).trim();
          return;
        }
        if (text === "[DONE]") return;
        const chunk = JSON.parse(text);
        if (chunk.error) throw new Error(chunk.error.message);
        const delta = chunk.choices[0]?.delta || {};
        if (delta.reasoning_content) setSteps((before) => [...before, delta.reasoning_content.trim()].slice(-60));
        const words = delta.content || delta.refusal;
        if (words) setAnswer((before) => before + words);
      });
      // A member that is asked by name has no round, and a round may be gone already.
      if (id) setRound(await getJson(`/v1/rounds/${id}`).catch(() => null));
    } catch (failure) {
      if (failure.name === "AbortError") setSteps((before) => [...before, "Stopped."]);
      else setError(failure);
    } finally {
      setRunning(false);
    }
  };

  return html`<h1 tabindex="-1" ref=${heading}>Playground</h1>
    <form class="card" onSubmit=${ask}>
      <label for="model">Model</label><select id="model" value=${model} onChange=${(event) => setModel(event.target.value)}>${models.map((name) => html`<option value=${name}>${name}</option>`)}</select>
      <label for="question">Question</label><textarea id="question" value=${question} onInput=${(event) => setQuestion(event.target.value)}
        onKeyDown=${(event) => {
          if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) ask(event);
        }}></textarea>
      <div class="row"><button class="main" disabled=${isRunning || !question.trim()}>Ask</button>
        <button type="button" disabled=${!isRunning} onClick=${() => stop.current.abort()}>Stop</button><span class="soft">Ctrl+Enter asks</span></div>
    </form>
    ${error && html`<p class="error" role="alert">${error.message}</p>`}
    <div class="two"><section class="card"><h2>Answer</h2><pre class="answer" aria-live="polite" aria-busy=${isRunning ? "true" : "false"}>${answer || (isRunning ? "The members write and judge." : "Nothing asked yet.")}</pre></section>
      <section class="card"><h2>The round</h2>${steps.length ? html`<ol class="live">${steps.map((step) => html`<li>${step}</li>`)}</ol>` : html`<p class="empty">Its progress appears here.</p>`}
      ${round && html`<p><a href="#rounds/${round.id}">Round ${round.id.slice(0, 8)}</a></p>`}</section></div>
    ${round && html`<${Replay} round=${round} />`}
    <${Code} model=${model} question=${question} />`;
}

function body(model, question) {
  return { model, messages: [{ role: "user", content: question }], stream: true };
}

const LANGUAGES = { curl, Python: python, JavaScript: javascript };

function Code({ model, question }) {
  const [language, choose] = useState("curl"),
    [copied, setCopied] = useState("");
  const text = LANGUAGES[language](model, question);
  const copy = () =>
    navigator.clipboard.writeText(text).then(
      () => setCopied("Copied."),
      () => setCopied("The browser does not allow it."),
    );
  return html`<section class="card"><h2>As code</h2><div class="row">${Object.keys(LANGUAGES).map(
    (name) =>
      html`<button aria-pressed=${name === language ? "true" : "false"} onClick=${() => {
        choose(name);
        setCopied("");
      }}>${name}</button>`,
  )}
    <button onClick=${copy}>Copy</button><span role="status">${copied}</span></div><pre class="code" tabindex="0" role="region" aria-label=${`The request as ${language}`}>${text}</pre></section>`;
}

function base() {
  return `${location.origin}/v1`;
}
// The key itself is never shown.
function keyName() {
  return key() ? "$SHOAL_API_KEY" : "";
}

function curl(model, question) {
  const json = JSON.stringify(body(model, question)).replaceAll("'", "'\\''");
  return `curl -N ${base()}/chat/completions \\\n${keyName() ? `  -H "authorization: Bearer ${keyName()}" \\\n` : ""}  -H 'content-type: application/json' \\\n  -d '${json}'`;
}
function python(model, question) {
  return `import os\nfrom openai import OpenAI\n\nclient = OpenAI(base_url=${JSON.stringify(base())}, api_key=${key() ? 'os.environ["SHOAL_API_KEY"]' : '"none"'})\nstream = client.chat.completions.create(\n    model=${JSON.stringify(model)},\n    messages=[{"role": "user", "content": ${JSON.stringify(question)}}],\n    stream=True,\n)\nfor chunk in stream:\n    if chunk.choices:\n        print(chunk.choices[0].delta.content or "", end="")`;
}
function javascript(model, question) {
  return `import OpenAI from "openai";\n\nconst client = new OpenAI({ baseURL: ${JSON.stringify(base())}, apiKey: ${key() ? "process.env.SHOAL_API_KEY" : '"none"'} });\nconst stream = await client.chat.completions.create({\n  model: ${JSON.stringify(model)},\n  messages: [{ role: "user", content: ${JSON.stringify(question)} }],\n  stream: true,\n});\nfor await (const chunk of stream) {\n  process.stdout.write(chunk.choices[0]?.delta?.content ?? "");\n}`;
}
