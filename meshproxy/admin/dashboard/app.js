// The page: what is chosen in its address, drawn anew whenever something is.

import { h, render } from "./dom.js";
import { hasToken, state, useToken, watch } from "./feed.js";
import * as format from "./format.js";
import { empty, icon } from "./parts.js";
import { certificates } from "./views/certificates.js";
import { configuration } from "./views/configuration.js";
import { measure, overview } from "./views/overview.js";
import { requests } from "./views/requests.js";
import { routes } from "./views/routes.js";
import { service, services } from "./views/services.js";
import { sources } from "./views/sources.js";

const VIEWS = { overview, services, routes, requests, configuration, certificates, sources };
const NAMES = Object.keys(VIEWS);
const TITLES = Object.fromEntries(NAMES.map((name) => [name, name[0].toUpperCase() + name.slice(1)]));
const THEMES = ["auto", "light", "dark"];
const RESTART_SHOWN = 10_000; // ms

let here = place();
let drawing = false;
let help = false;
let focused = null;

/** [view, what of it], by the address: #/services/shop%2Fcart. */
function place() {
  const [, view = "", what = ""] = location.hash.split("/");
  try {
    return VIEWS[view] ? [view, decodeURIComponent(what)] : ["overview", ""];
  } catch {
    return ["overview", ""]; // no such escape
  }
}

/** Draw soon: once, however often something changed until then. */
function draw() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    drawNow();
    if (measure()) drawNow();
  });
}

function drawNow() {
  const [view, what] = here;
  const known = state.status !== null;
  render(document.getElementById("app"),
    h("div", { class: `shell ${state.connection}`, inert: help || state.connection === "unauthorized" },
      sidebar(view),
      h("main", { id: "main", tabindex: "-1" },
        notice(),
        what ? null : h("h1", { class: "page-title", key: "title" }, TITLES[view]),
        known ? h("div", { class: "content", key: `${view} ${what}` }, what && view === "services" ? service(what, draw) : VIEWS[view](draw)) : waiting())),
    dialogs());
  document.title = `${what || TITLES[view]} · ${state.status?.name ?? "meshproxy"}`;
}

// -- around the views --------------------------------------------------------------------

function sidebar(view) {
  const { status } = state;
  return h("aside", { key: "aside" },
    h("a", { class: "brand", href: "#/overview" }, mark(), h("span", null, h("b", null, status?.name ?? "meshproxy"), h("small", null, status ? `meshproxy ${status.version}` : "\u00a0"))),
    h("nav", { "aria-label": "Views" }, NAMES.map((name) => h("a", { key: name, href: `#/${name}`, "aria-current": name === view ? "page" : null }, icon(name), h("span", null, TITLES[name])))),
    h("div", { class: "foot" }, pill(),
      status && h("p", { class: "hint up" }, `up ${format.age(status.uptime)}`),
      h("div", { class: "buttons" },
        h("button", { class: "quiet", onclick: nextTheme, title: "Light, dark, or as the system has it" }, icon("theme"), h("span", null, theme())),
        hasToken() && h("button", { class: "quiet", onclick: () => useToken("") }, "Forget the token"))));
}

function mark() {
  return h("svg", { class: "mark", viewBox: "0 0 32 32", "aria-hidden": "true" },
    h("rect", { width: 32, height: 32, rx: 8 }),
    h("path", { d: "M9 16 22 9.5M9 16l13 6.5" }),
    h("circle", { cx: 9, cy: 16, r: 3.6 }), h("circle", { cx: 22.5, cy: 9.2, r: 3 }), h("circle", { cx: 22.5, cy: 22.8, r: 3 }));
}

const CONNECTIONS = {
  live: ["good", "Live"], connecting: ["idle", "Connecting"], lost: ["bad", "Reconnecting"], resting: ["idle", "Resting"],
  unauthorized: ["warn", "Token needed"], full: ["warn", "Too many viewers"],
};

function pill() {
  const [level, text] = CONNECTIONS[state.connection];
  const isReady = state.connection !== "live" || !state.status || state.status.ready;
  return h("p", { class: "pill", role: "status" }, h("span", { class: `dot ${isReady ? level : "warn"} ${state.connection === "live" ? "pulse" : ""}` }), isReady ? text : "Not ready");
}

function notice() {
  const known = state.status !== null;
  if (state.connection === "lost" && known) {
    return h("p", { class: "notice bad", role: "alert", key: "notice" }, `No connection to the proxy for ${format.age((Date.now() - state.since) / 1000)} (${state.why}). What is below was true then; trying again …`);
  }
  if (state.connection === "full") return h("p", { class: "notice warn", role: "alert", key: "notice" }, state.why);
  if (Date.now() - state.restarted < RESTART_SHOWN) return h("p", { class: "notice", role: "status", key: "notice" }, "The proxy has restarted; this is its new state.");
  return null;
}

function waiting() {
  if (state.connection === "lost") return empty("The proxy does not answer", `${state.why}; trying again …`);
  return empty(state.connection === "unauthorized" ? "A token is needed" : "Connecting …");
}

function dialogs() {
  if (state.connection === "unauthorized") return tokenDialog();
  return help && helpDialog();
}

function tokenDialog() {
  const submit = (event) => {
    event.preventDefault();
    const field = document.getElementById("token");
    const token = field.value.trim();
    field.value = "";
    if (token) useToken(token);
  };
  return h("div", { class: "veil", key: "token" }, h("form", { class: "dialog", role: "dialog", "aria-modal": "true", "aria-labelledby": "token-title", onsubmit: submit },
    h("h2", { id: "token-title" }, "This proxy asks for a token"),
    h("p", null, "It is in the file that ", h("code", null, "spec.admin.tokenFile"), " names. It stays in this tab, and is forgotten with it."),
    hasToken() && h("p", { class: "text-bad", role: "alert" }, "The proxy does not accept the one that was given."),
    h("input", { id: "token", type: "password", autocomplete: "off", "aria-label": "Token", autofocus: true }),
    h("button", { class: "primary", type: "submit" }, "Show the dashboard")));
}

const KEYS = [["1 … 7", "the views, in their order"], ["/", "the filter"], ["?", "these keys"], ["Esc", "closes this"]];

function helpDialog() {
  return h("div", { class: "veil", key: "help", onclick: () => toggleHelp(false) }, h("div", { class: "dialog", role: "dialog", "aria-modal": "true", "aria-label": "Keys" },
    h("h2", null, "Keys"),
    h("dl", { class: "keys" }, KEYS.map(([key, what]) => h("div", { key }, h("dt", null, h("kbd", null, key)), h("dd", null, what)))),
    h("button", { id: "close", class: "primary", type: "button" }, "Close"))); // by the click on what is around it, too
}

/** While keys are explained the page behind takes none; then whatever had the focus has it again. */
function toggleHelp(shown) {
  if (shown) focused = document.activeElement;
  help = shown;
  drawNow();
  (shown ? document.getElementById("close") : focused)?.focus();
}

// -- theme, keys, address ----------------------------------------------------------------

const theme = () => localStorage.getItem("meshproxy-theme") ?? "auto";

function nextTheme() {
  localStorage.setItem("meshproxy-theme", THEMES[(THEMES.indexOf(theme()) + 1) % THEMES.length]);
  applyTheme();
  draw();
}

const applyTheme = () => document.documentElement.setAttribute("data-theme", theme());

function pressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape") {
    if (help) toggleHelp(false);
    else if (event.target.matches("input")) event.target.blur();
    return;
  }
  if (event.target.matches("input, textarea, select")) return;
  const view = NAMES[Number(event.key) - 1];
  if (view) location.hash = `#/${view}`;
  else if (event.key === "?") toggleHelp(!help);
  else if (event.key === "/") {
    const field = document.querySelector("input.filter");
    if (field) {
      event.preventDefault();
      field.focus();
    }
  }
}

function moved() {
  if (location.hash && !location.hash.startsWith("#/")) return; // the skip link
  here = place();
  window.scrollTo(0, 0);
  draw();
}

applyTheme();
document.addEventListener("keydown", pressed);
window.addEventListener("hashchange", moved);
window.addEventListener("resize", draw);
watch(draw);
draw();
