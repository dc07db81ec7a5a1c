// The live channel: Server-Sent Events, read with fetch, since an EventSource cannot send the header with the token.
// It comes back by itself when the proxy does, and rests while nobody sees the page.

const SILENCE = 6000; // ms without an update, of which there is one a second: the connection is dead
const LONGEST_PAUSE = 5000;
const KEPT_REQUESTS = 500; // of those that went well, and of those that did not: as the proxy keeps them
export const HISTORY = 120; // updates that charts show
const TOKEN = "meshproxy-token";

export const state = {
  connection: "connecting", // live, lost, unauthorized, full
  why: "",
  since: Date.now(),
  restarted: 0,
  mesh: { version: "", entries: [], services: [], calls: [] },
  routes: [],
  health: [],
  diagnostics: [],
  events: [],
  certificates: [],
  status: null,
  rates: null,
  requests: [],
  history: { rate: [], success: [], p99: [], services: new Map() },
};

let changed = () => {};
let attempt = null;
let pause = 0;

/** Call `onChange` whenever `state` is not what it was, from now on. */
export function watch(onChange) {
  changed = onChange;
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) attempt?.abort();
    else if (attempt === null) run();
  });
  run();
}

/** Use `token` from now on, kept for this tab and until it is closed; an empty one forgets it. */
export function useToken(token) {
  if (token) sessionStorage.setItem(TOKEN, token);
  else sessionStorage.removeItem(TOKEN);
  attempt?.abort();
  pause = 0;
  if (attempt === null) run();
}

export const hasToken = () => sessionStorage.getItem(TOKEN) !== null;

async function run() {
  while (!document.hidden) {
    attempt = new AbortController();
    try {
      await connect(attempt);
      lost("the proxy ended the connection");
    } catch (error) {
      if (state.connection !== "unauthorized" && state.connection !== "full") lost(whyOf(error));
    }
    if (state.connection === "unauthorized") break;
    await sleep(pause * (0.75 + Math.random() / 2));
    pause = Math.min(LONGEST_PAUSE, pause * 2 || 250);
  }
  attempt = null;
}

function whyOf(error) {
  if (error.name === "AbortError") return "nothing was heard of it any more";
  return error instanceof TypeError ? "it does not answer" : error.message; // fetch says no more
}

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function lost(why) {
  setConnection(document.hidden ? "resting" : "lost", why);
}

function setConnection(connection, why = "") {
  if (state.connection !== connection) state.since = Date.now();
  state.connection = connection;
  state.why = why;
  changed();
}

async function connect(controller) {
  const token = sessionStorage.getItem(TOKEN);
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  let alarm = setTimeout(() => controller.abort(), SILENCE);
  try {
    const response = await fetch("api/v1/live", { headers, cache: "no-store", signal: controller.signal });
    if (!response.ok) await refused(response);
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let waiting = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      clearTimeout(alarm);
      alarm = setTimeout(() => controller.abort(), SILENCE);
      waiting += value;
      const events = waiting.split("\n\n");
      waiting = events.pop();
      events.forEach(take);
      if (events.length) {
        pause = 0;
        setConnection("live");
      }
    }
  } finally {
    clearTimeout(alarm);
  }
}

async function refused(response) {
  const { error } = await response.json().catch(() => ({ error: `HTTP ${response.status}` }));
  setConnection({ 401: "unauthorized", 503: "full" }[response.status] ?? "lost", error);
  throw new Error(error);
}

function take(event) {
  const [first, second] = event.split("\n");
  const name = first.slice("event: ".length);
  const value = JSON.parse(second.slice("data: ".length));
  if (name === "requests") takeRequests(value);
  else if (name === "status") takeStatus(value);
  else state[name] = value;
  if (name === "rates") remember(value);
}

function takeStatus(status) {
  if (state.status && state.status.process !== status.process) {
    state.restarted = Date.now();
    state.requests = []; // their numbers begin anew; those of the new process come after its status
  }
  state.status = status;
}

function takeRequests(newer) {
  const last = state.requests.at(-1)?.number ?? 0;
  state.requests = newest([...state.requests, ...newer.filter((each) => each.number > last)]);
}

/** The last of both kinds, so that the many do not push out the few. */
function newest(requests) {
  const left = { true: KEPT_REQUESTS, false: KEPT_REQUESTS };
  return requests.reverse().filter((each) => left[each.bad]-- > 0).reverse();
}

function remember(rates) {
  const { rate, success, p99, services } = state.history;
  push(rate, rates.total?.[0] ?? 0);
  push(success, rates.total?.[1] ?? null);
  push(p99, rates.total?.[3] ?? null);
  for (const id of new Set([...services.keys(), ...Object.keys(rates.services)])) {
    if (!services.has(id)) services.set(id, []);
    push(services.get(id), rates.services[id]?.[0] ?? 0);
  }
}

function push(values, value) {
  values.push(value);
  if (values.length > HISTORY) values.shift();
}
