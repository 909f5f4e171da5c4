// The page: what is typed goes to predict, on demand to explain; what comes back is shown as text, never as markup.
"use strict";

const WAIT_MS = 250; // after the last key: fewer questions than keys, and still at once for a reader
const MOST_BARS = 10;
const STRONGEST = 0.55; // share of colour behind the word that matters most: its letters keep their contrast

const at = (id) => document.getElementById(id);
const { access, explain } = document.body.dataset;
let token = ""; // of the demo's sign-in; in memory only
let asked = null; // the request under way
let explaining = null;
let timer = 0;
let explained = null;
let unfolded = false;
let answeredBy = ""; // the digest of the bundle
let answeredAs = ""; // the id of the request: what is explained under it, is so by the model that answered it

function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

const percent = (share) => `${(100 * share).toFixed(1)} %`;

function points(share) {
  const rounded = (100 * share).toFixed(1);
  const size = rounded.replace("-", "");
  return Number(size) === 0 ? "0.0" : `${share > 0 ? "+" : "−"}${size}`;
}

function credentials() {
  const secret = access === "demo" ? token : at("key").value.trim();
  if (!secret) return {};
  return access === "keys" ? { "X-API-Key": secret } : { Authorization: `Bearer ${secret}` };
}

// Returns the parsed answer, or throws an Error whose message is a sentence for the reader.
async function ask(path, options, signal) {
  let response;
  try {
    response = await fetch(path, { ...options, signal, credentials: "omit", cache: "no-store" });
  } catch (error) {
    if (error.name === "AbortError" || error instanceof TypeError === false) throw error;
    throw new Error("The service cannot be reached. Is it running?");
  }
  const body = await response.json().catch(() => null);
  if (response.ok && body) return body;
  throw Object.assign(new Error(sentence(response, body)), { status: response.status });
}

function sentence(response, body) {
  if (response.status === 401) {
    return access === "demo" ? "Sign in to ask the model." : "The service asks for a valid key or token.";
  }
  const detail = body && typeof body.detail === "string" ? body.detail : "";
  const wait = Number(response.headers.get("Retry-After"));
  const again = wait > 0 ? ` Try again in ${wait} s.` : "";
  return (detail || `The service answered ${response.status}.`) + again;
}

const post = (body, headers) => ({
  method: "POST",
  headers: { "Content-Type": "application/json", ...credentials(), ...headers },
  body: JSON.stringify(body),
});

function showAccess() {
  at("access").hidden = false;
  at("key-form").hidden = access === "demo";
  at("sign-in").hidden = access !== "demo";
  at("key-name").textContent = access === "keys" ? "API key" : "Bearer token";
}

function tell(problem) {
  if (at("problem").textContent !== problem) at("problem").textContent = problem;
}

function forget() {
  if (explaining) explaining.abort();
  explained = null;
  at("explanation").hidden = true;
  at("sum").textContent = "";
}

function typed() {
  clearTimeout(timer);
  if (asked) asked.abort();
  forget();
  unfolded = false;
  at("answer").setAttribute("aria-busy", "true");
  timer = setTimeout(predict, WAIT_MS);
}

async function predict() {
  const text = at("text").value;
  if (!text.trim()) {
    at("answer").hidden = at("why").hidden = true;
    return tell("");
  }
  const request = (asked = new AbortController());
  try {
    const answer = await ask("predict", post({ text }), request.signal);
    if (request.signal.aborted) return;
    tell("");
    answeredBy = answer.model_digest;
    answeredAs = answer.request_id;
    showModel(answer.model_version, answeredBy);
    showAnswer(answer.predictions[0]);
  } catch (error) {
    if (request.signal.aborted) return;
    at("answer").hidden = at("why").hidden = true;
    tell(error.message);
  }
}

function showModel(version, digest) {
  const shown = at("model");
  shown.replaceChildren("Model ", element("bdi", version), " · ", element("code", String(digest).slice(0, 12)));
  shown.title = `Digest of the bundle: ${digest}`;
}

const byShare = (probabilities) => Object.entries(probabilities).sort((a, b) => b[1] - a[1]);

function showAnswer(prediction) {
  const sorted = byShare(prediction.probabilities);
  const sure = prediction.probabilities[prediction.label];
  at("label").replaceChildren(element("bdi", prediction.label), ` with ${percent(sure)}`);
  const shown = unfolded ? sorted : sorted.slice(0, MOST_BARS);
  at("bars").replaceChildren(...shown.map(([label, share]) => bar(label, share)));
  const rest = sorted.length - shown.length;
  at("more").hidden = rest === 0;
  at("more").textContent = `Show ${rest} more labels`;
  at("more").onclick = () => {
    unfolded = true;
    showAnswer(prediction);
  };
  at("answer").hidden = false;
  at("answer").setAttribute("aria-busy", "false");
  at("why").hidden = explain === "closed";
}

function bar(label, share) {
  const row = element("li");
  const track = element("span", undefined, "track");
  const fill = element("span");
  fill.style.width = `${100 * share}%`;
  track.append(fill);
  row.append(element("bdi", label), track, element("span", percent(share), "share"));
  return row;
}

async function why() {
  const button = at("explain");
  if (button.getAttribute("aria-disabled") === "true") return;
  const request = (explaining = new AbortController());
  const text = at("text").value;
  button.setAttribute("aria-disabled", "true"); // not `disabled`, which would take the focus away
  button.textContent = "Explaining …";
  try {
    const answer = await ask("explain", post({ text }, { "X-Request-ID": answeredAs }), request.signal);
    if (!request.signal.aborted) {
      tell("");
      showExplanation(answer);
    }
  } catch (error) {
    if (!request.signal.aborted) tell(error.message);
  } finally {
    button.setAttribute("aria-disabled", "false");
    button.textContent = "Explain this answer";
  }
}

function showExplanation(answer) {
  explained = answer;
  const choice = at("about");
  choice.replaceChildren(...byShare(answer.probabilities).map(([label]) => new Option(label, label)));
  choice.value = answer.label;
  showWords();
  at("explanation").hidden = false;
}

function showWords() {
  const { parts, base, probabilities, method, evaluations, standard_error: error } = explained;
  const label = at("about").value;
  const largest = Math.max(1e-9, ...parts.map((part) => Math.abs(part.contribution[label])));
  at("words").replaceChildren(...parts.map((part) => word(part, part.contribution[label], largest)));
  const end = `; these words together make it ${percent(probabilities[label])}.`;
  at("sum").replaceChildren(`An empty text gets ${percent(base[label])} for `, element("bdi", label), end);
  const unsure = error === null ? "too little time to say how exact" : `standard error up to ${(100 * error).toFixed(1)}`;
  const how =
    method === "exact" ? `Exact, from ${evaluations} answers.` : `Sampled from ${evaluations} answers; ${unsure}.`;
  const other = explained.model_digest === answeredBy ? "" : " Another model than the one above is explained.";
  at("how").textContent = how + other;
}

function word(part, added, largest) {
  const item = element("li");
  const shown = points(added);
  if (shown !== "0.0") {
    item.className = added > 0 ? "for" : "against";
    item.style.setProperty("--strength", (STRONGEST * Math.abs(added)) / largest);
  }
  item.append(element("bdi", part.text), " ", element("span", shown, "add"));
  return item;
}

async function signIn() {
  const form = new URLSearchParams({ grant_type: "password", username: at("user").value, password: at("password").value });
  try {
    token = (await ask("token", { method: "POST", body: form })).access_token;
    at("password").value = "";
    tell("");
    predict();
  } catch (error) {
    token = "";
    tell(error.status === 400 ? "This user name and password are not known here." : error.message);
  }
}

at("text").addEventListener("input", typed);
at("key").addEventListener("input", typed);
at("explain").addEventListener("click", why);
at("about").addEventListener("change", showWords);
at("key-form").addEventListener("submit", (event) => event.preventDefault());
at("sign-in").addEventListener("submit", (event) => {
  event.preventDefault();
  signIn();
});
if (access !== "off") showAccess();
ask("version", {}).then(
  (told) => showModel(told.model_version, told.model_digest),
  () => at("model").replaceChildren(),
);
if (at("text").value) predict(); // what the browser kept over a reload
