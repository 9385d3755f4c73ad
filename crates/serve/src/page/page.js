"use strict";

const $ = (id) => document.getElementById(id);
const session = crypto.getRandomValues(new Uint32Array(4)).join("-");

function showError(message) {
  $("error").textContent = message;
  $("error").hidden = !message;
}

// A request to the server. The key stays in this tab.
async function ask(path, body, signal) {
  const headers = { "Content-Type": "application/json" };
  if ($("key").value) headers.Authorization = `Bearer ${$("key").value}`;
  const options = body === undefined ? { headers, signal } : { method: "POST", headers, signal, body: JSON.stringify(body) };
  const answer = await fetch(path, options);
  if (answer.status === 401) $("key-field").hidden = false;
  if (!answer.ok) {
    const text = await answer.text();
    let message = `${answer.status}`;
    try { message = JSON.parse(text).error.message; } catch { /* Not from this server. */ }
    throw new Error(message);
  }
  return answer;
}

async function tryTo(what) {
  try {
    await what();
    showError("");
  } catch (error) {
    if (error.name !== "AbortError") showError(error.message);
  }
}

// Tabs: arrow keys move between them.
const tabs = [...document.querySelectorAll("[role=tab]")];
function select(tab) {
  for (const other of tabs) {
    const isSelected = other === tab;
    other.setAttribute("aria-selected", isSelected);
    other.tabIndex = isSelected ? 0 : -1;
    $(other.getAttribute("aria-controls")).hidden = !isSelected;
  }
  if (tab.id === "tab-runs") tryTo(listRuns);
}
tabs.forEach((tab, place) => {
  tab.addEventListener("click", () => select(tab));
  tab.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = tabs[(place + step + tabs.length) % tabs.length];
    select(next);
    next.focus();
  });
});

async function listModels() {
  const models = (await (await ask("v1/models")).json()).data;
  $("model").replaceChildren(...models.map((model) => new Option(model.id)));
}
$("key").addEventListener("change", () => tryTo(listModels));

// Write: suggestions for the text before the cursor.
let words = [];
let asked = 0;
function accept(place) {
  const word = words[place];
  if (word === undefined) return false;
  const field = $("write-text");
  const before = field.value.slice(0, field.selectionStart);
  const begun = before.slice(before.search(/\S*$/));
  field.setRangeText(word.slice(begun.length) + " ", field.selectionStart, field.selectionEnd, "end");
  suggest();
  return true;
}
function showWords(suggested) {
  words = suggested.map((one) => one.word);
  $("suggestions").replaceChildren(...suggested.map((one, place) => {
    const item = document.createElement("li");
    const button = document.createElement("button");
    const probability = document.createElement("small");
    probability.textContent = `${(100 * Math.exp(one.log_prob)).toFixed(1)} %`;
    button.append(one.word, probability);
    button.addEventListener("click", () => { accept(place); $("write-text").focus(); });
    item.append(button);
    return item;
  }));
}
async function suggest() {
  const field = $("write-text");
  const number = ++asked;
  const text = field.value.slice(0, field.selectionStart);
  await tryTo(async () => {
    const answer = await ask("v1/next", { model: $("model").value, text, top: 5, session });
    const { data } = await answer.json();
    // A later key has been pressed: its suggestions will come.
    if (number === asked) showWords(data);
  });
}
$("write-text").addEventListener("input", suggest);
$("write-text").addEventListener("keydown", (event) => {
  const place = event.altKey ? Number(event.key) - 1 : event.key === "Tab" && !event.shiftKey ? 0 : NaN;
  if (event.key === "Escape") showWords([]);
  else if (place >= 0 && accept(place)) event.preventDefault();
});

// Generate: the events of a stream, as they come.
let generating = null;
async function generate() {
  generating = new AbortController();
  $("start").disabled = true;
  $("stop").disabled = false;
  $("generated").textContent = $("prompt").value;
  const number = (id) => ($(id).value === "" ? undefined : Number($(id).value));
  const begun = performance.now();
  let tokens = 0;
  try {
    const answer = await ask("v1/completions", {
      model: $("model").value, prompt: $("prompt").value, stream: true, max_tokens: number("max-tokens"),
      temperature: number("temperature"), top_k: number("top-k"), top_p: number("top-p"), seed: number("seed"),
    }, generating.signal);
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let rest = ""; ;) {
      const { value, done } = await reader.read();
      if (done) break;
      const lines = (rest + value).split("\n");
      rest = lines.pop();
      let text = "";
      for (const line of lines) {
        if (!line.startsWith("data: {")) continue;
        const event = JSON.parse(line.slice(6));
        if (event.error) throw new Error(event.error.message);
        for (const choice of event.choices) text += choice.text;
        tokens += event.choices.length;
      }
      $("generated").append(text);
      const seconds = (performance.now() - begun) / 1000;
      $("generate-status").textContent = `${tokens} tokens, ${(tokens / seconds).toFixed(0)} tokens/s`;
    }
  } finally {
    generating = null;
    $("start").disabled = false;
    $("stop").disabled = true;
  }
}
$("generate-form").addEventListener("submit", (event) => {
  event.preventDefault();
  if (!generating) tryTo(generate);
});
$("stop").addEventListener("click", () => generating?.abort());

// Inspect: each token on a background that is the stronger the more surprising it is.
const bits = (logProb) => -logProb / Math.LN2;
function colored(token) {
  const span = document.createElement("span");
  const surprisal = token.log_prob === null ? 0 : bits(token.log_prob);
  span.textContent = token.token;
  span.tabIndex = 0;
  span.title = token.log_prob === null ? "not scored" : `${surprisal.toFixed(2)} bits`;
  span.style.setProperty("background-color", `rgb(var(--surprise) / ${Math.min(surprisal / 20, 0.85)})`);
  const show = () => {
    const likely = (token.top ?? []).map((one) => `${one.token} ${bits(one.log_prob).toFixed(2)}`);
    $("alternatives").textContent = `${token.token}: ${span.title}. Most likely here, in bits: ${likely.join(" · ")}`;
  };
  span.addEventListener("mouseenter", show);
  span.addEventListener("focus", show);
  return span;
}
async function inspect() {
  const lines = $("inspect-text").value.replace(/\n$/, "").split("\n");
  const { data } = await (await ask("v1/score", { model: $("model").value, lines, top: 5 })).json();
  const isOfWords = (await (await ask("v1/models")).json()).data.find((model) => model.id === $("model").value)?.unit === "token";
  const spans = [];
  for (const line of data) {
    for (const token of line.per_token) {
      spans.push(colored({ ...token, token: ["\n", "<eos>"].includes(token.token) ? "↵" : token.token }));
      if (isOfWords) spans.push(" ");
    }
    spans.push("\n");
  }
  $("colored").replaceChildren(...spans);
  const scored = data.filter((line) => line.log_prob !== null);
  const sum = (key) => scored.reduce((total, line) => total + line[key], 0);
  const perplexity = Math.exp(-sum("log_prob") / sum("tokens"));
  $("inspect-summary").textContent =
    `${sum("tokens")} tokens, perplexity ${perplexity.toFixed(2)}, ${sum("unknown_words")} unknown words`;
}
$("inspect-form").addEventListener("submit", (event) => {
  event.preventDefault();
  tryTo(inspect);
});

// Runs: the curve of a run, again every two seconds while it is shown.
async function listRuns() {
  const runs = (await (await ask("v1/runs")).json()).data;
  const chosen = $("run").value;
  $("run").replaceChildren(...runs.map((run) => new Option(run.name)));
  if (runs.some((run) => run.name === chosen)) $("run").value = chosen;
  $("run-summary").textContent = runs.length ? "" : "There are no runs: start the server with --runs DIR.";
  await showRun();
}
function polyline(points, kind) {
  const line = document.createElementNS("http://www.w3.org/2000/svg", "polyline");
  line.setAttribute("points", points.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join(" "));
  line.setAttribute("class", kind);
  return line;
}
function label(text, x, y, anchor) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", "text");
  for (const [name, value] of Object.entries({ x, y, "text-anchor": anchor })) element.setAttribute(name, value);
  element.textContent = text;
  return element;
}
async function showRun() {
  const name = $("run").value;
  if (!name) return;
  const run = await (await ask(`v1/runs/${encodeURIComponent(name)}`)).json();
  const of = (key) => run.records.filter((record) => Number.isFinite(record[key])).map((record) => [record.step, record[key]]);
  const [train, valid] = [of("interval_loss"), of("valid_loss")];
  const all = [...train, ...valid];
  if (!all.length) return $("curve").replaceChildren(label("no records yet", 320, 160, "middle"));
  const most = Math.max(...all.map(([step]) => step), 1);
  const losses = all.map(([, loss]) => loss);
  const [low, high] = [Math.min(...losses), Math.max(...losses)];
  const place = ([step, loss]) => [50 + 570 * step / most, 20 + 270 * (high - loss) / Math.max(high - low, 1e-9)];
  const ticks = [0, 0.5, 1].map((part) => label((low + part * (high - low)).toFixed(2), 44, 294 - 270 * part, "end"));
  $("curve").replaceChildren(
    polyline([[50, 20], [50, 290], [620, 290]], "axis"), ...ticks, label("0", 50, 308, "middle"), label(`${most} steps`, 620, 308, "end"),
    polyline(train.map(place), "train"), polyline(valid.map(place), "valid"),
  );
  const last = valid.at(-1)?.[1];
  const quality = last === undefined ? "" : `, validation perplexity ${Math.exp(last).toFixed(2)}`;
  $("run-summary").textContent = `${run.summary.status}: epoch ${run.summary.epochs}, step ${most}${quality}`;
}
$("run").addEventListener("change", () => tryTo(showRun));
setInterval(() => { if (!$("runs").hidden && !document.hidden) tryTo(showRun); }, 2000);

tryTo(listModels);
