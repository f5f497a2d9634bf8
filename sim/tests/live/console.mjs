// Uses the console as a person does: on a live swarm, in a real Chromium, with the strict policy of its pages.
// SHOAL is the gateway's base URL, CHROMIUM the browser; SHOTS, if set, is a folder for screenshots.
import { chromium } from "playwright-core";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const { SHOAL, CHROMIUM, SHOTS } = process.env;
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const path = CHROMIUM.includes("/") ? CHROMIUM : `/usr/bin/${CHROMIUM}`;
const browser = await chromium.launch({ executablePath: path, args: ["--no-sandbox"] });
const failures = [];

function check(what, is) {
  if (!is) failures.push(what);
}

/** A page whose errors and foreign requests are failures. */
async function open(options = {}) {
  const context = await browser.newContext({ viewport: { width: 1200, height: 900 }, ...options });
  const page = await context.newPage();
  page.on("pageerror", (error) => failures.push(`error in the page: ${error}`));
  page.on("console", (message) => {
    if (message.type() === "error" && !/status of (401|404|429)/.test(message.text()))
      failures.push(`console: ${message.text()}`);
  });
  page.on("request", (request) => {
    if (!request.url().startsWith(SHOAL)) failures.push(`foreign request: ${request.url()}`);
  });
  return page;
}

async function go(page, hash, selector) {
  await page.goto(`${SHOAL}/#${hash}`);
  await page.waitForSelector(selector);
}

/** axe runs by the debugger's protocol, which the page's policy does not reach. */
async function audit(page, name) {
  await page.evaluate(axe);
  const found = await page.evaluate(async () =>
    (await axe.run()).violations.map((v) => [v.impact, v.id, v.nodes.length, v.nodes[0].html.slice(0, 120)]),
  );
  const serious = found.filter(([impact]) => impact === "serious" || impact === "critical");
  check(`axe on ${name}: ${JSON.stringify(serious)}`, serious.length === 0);
}

async function fits(page, name) {
  const [inner, outer, culprit] = await page.evaluate(() => {
    const wide = [...document.querySelectorAll("main *")].find(
      (e) => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest(".wide"),
    );
    return [document.documentElement.scrollWidth, innerWidth, wide?.outerHTML.slice(0, 160)];
  });
  check(`${name} is ${inner} wide in ${outer}: ${culprit}`, inner <= outer);
}

async function shot(page, name, options = {}) {
  if (!SHOTS) return;
  await page.evaluate(() => scrollTo(0, 0));
  await page.screenshot({ path: `${SHOTS}/${name}.png`, ...options });
}

async function ask(page, question) {
  await go(page, "playground", "#question");
  await page.waitForFunction(() => document.querySelectorAll("#model option").length > 1);
  await page.fill("#question", question);
  await page.keyboard.press("Control+Enter");
  await page.waitForSelector("text=How it was decided", { timeout: 60_000 });
}

const page = await open({ colorScheme: "light" });
await ask(page, "What is 47 + 385?");
check("the answer is there", (await page.textContent(".answer")).includes("432"));
check("the progress is there", (await page.locator("ol.live li").count()) > 1);
await page.click("text=Python");
check("the request as Python", (await page.textContent("pre.code")).includes("base_url"));
await audit(page, "playground");
await shot(page, "console-playground");

// The live list shows a round that another page asks for.
const watcher = await open({ colorScheme: "light" });
await go(watcher, "rounds", "text=Connected.");
await ask(page, "What is 347 * 8?");
await watcher.waitForSelector("ol.live li a");
check("the list has both rounds", (await watcher.locator("tbody tr").count()) >= 2);
await audit(watcher, "rounds");
await shot(watcher, "console-rounds");
await watcher.click("ol.live li a");
await watcher.waitForSelector("text=Timeline");
await audit(watcher, "one round");
await shot(watcher, "console-round", { fullPage: true });

await go(page, "now", "tbody tr");
await page.waitForSelector(".chart canvas", { timeout: 20_000 });
check("all members", (await page.locator("tbody tr").count()) >= 6);
await audit(page, "now");
if (SHOTS) {
  for (let at = 0; at < 24; at += 1) {
    for (let count = 0; count < 1 + ((at * 5) % 7); count += 1) {
      const body = JSON.stringify({
        model: "shoal",
        messages: [{ role: "user", content: `What is ${at * 31 + 7} ${"+-*"[count % 3]} ${count + 11}?` }],
      });
      await fetch(`${SHOAL}/v1/chat/completions`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body,
      });
    }
    await page.waitForTimeout(1000);
  }
}
await shot(page, "console-now");
await page.click("tbody tr a");
await page.waitForSelector("text=What moved its standing");
await audit(page, "member");
await shot(page, "console-member");
await go(page, "keys", "text=no ledger");
await audit(page, "keys");
await shot(page, "console-keys");

// By keyboard alone: the first stop skips the navigation, the next ones are the parts.
await page.goto(`${SHOAL}/`);
await page.waitForSelector("h1");
await page.keyboard.press("Tab");
check("the first stop is the skip link", (await page.evaluate(() => document.activeElement.className)) === "skip");
await page.keyboard.press("Tab");
await page.keyboard.press("Tab");
await page.keyboard.press("Enter");
await page.waitForSelector("h1:has-text('Rounds')");

// Dark, at phone width, with a thousand members whose names are markup.
const phone = await open({ viewport: { width: 360, height: 740 }, colorScheme: "dark" });
const hostile = "<img src=x onerror=alert(1)><script>alert(2)</script>";
await phone.route("**/v1/nodes", async (route) => {
  const reply = await route.fetch(),
    list = await reply.json();
  const one = list.data[0];
  list.data = Array.from({ length: 1000 }, (_, at) => ({
    ...one,
    id: at.toString(16).padStart(64, "0"),
    short_id: at.toString(16).padStart(10, "0"),
    model: `${hostile} ${at}`,
  }));
  await route.fulfill({ response: reply, json: list });
});
let dialogs = 0;
phone.on("dialog", (dialog) => {
  dialogs += 1;
  dialog.dismiss();
});
await go(phone, "now", "text=1000 of 1000 nodes");
check("one page of rows", (await phone.locator("tbody tr").count()) === 25);
await phone.click("text=Next");
await phone.waitForSelector("text=Page 2 of 40");
check("markup stays text", (await phone.locator("main img, main script").count()) === 0 && dialogs === 0);
await phone.fill("#filter", "> 999");
await phone.waitForSelector("text=1 of 1000 nodes");
await phone.fill("#filter", "");
await audit(phone, "now, dark, phone");
await fits(phone, "now");
await shot(phone, "console-phone");
await ask(phone, "What is 12 + 30?");
await audit(phone, "playground, dark, phone");
await fits(phone, "playground");
await shot(phone, "console-phone-playground");
await go(phone, "rounds", "text=Newest");
await fits(phone, "rounds");

// Without a member, without a gateway, and with a wrong key the page says what to do.
const empty = await open();
await empty.route("**/v1/nodes", (route) => route.fulfill({ json: { object: "list", data: [] } }));
await go(empty, "now", "text=No member yet");
check("the command", (await empty.textContent(".empty pre")).includes("shoal-node --gateway 127.0.0.1:"));
const locked = await open();
const refusal = { status: 401, json: { error: { message: "You didn't provide an API key." } } };
await locked.route("**/v1/models", (route) =>
  route.request().headers().authorization === "Bearer sk-right" ? route.fallback() : route.fulfill(refusal),
);
await go(locked, "rounds", "text=A key is needed");
await audit(locked, "key");
await locked.fill("#key", "sk-right");
await locked.click("text=Use this key");
await locked.waitForSelector("h1:has-text('Rounds')");

await browser.close();
if (failures.length) {
  console.log(failures.join("\n"));
  process.exit(1);
}
console.log("console: all checks passed");
