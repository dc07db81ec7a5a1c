// How it goes, at a glance, and who calls whom.

import { h } from "../dom.js";
import { state } from "../feed.js";
import * as format from "../format.js";
import { graph, SERVICES } from "../graph.js";
import { callers, labelOf, problems, routed, services } from "../mesh.js";
import { CONNECTION_COLUMNS, dot, empty, filterField, filterOf, icon, link, linkToService, matches, panel, REQUEST_COLUMNS, requestTiles, spark, table, tile } from "../parts.js";
import { CALLER_COLUMN } from "./services.js";

const SHOWN_PROBLEMS = 8;
let width = 0;
let chosen = []; // ids that are drawn: they stay while they have traffic, so that the picture is calm

export function overview(onChange) {
  const all = services();
  if (!all.length) return [tiles(all), attention(), empty("No Services yet", "As soon as a manifest or a registry names one, it is here.")];
  return [tiles(all), attention(), topology(all, onChange), ...calls(onChange)];
}

function tiles(all) {
  const endpoints = all.reduce((sum, each) => sum + each.total, 0);
  const ready = all.reduce((sum, each) => sum + each.ready, 0);
  const open = state.rates?.connections ?? [0, 0, 0, 0, 0];
  return h("div", { class: "tiles", key: "tiles" },
    requestTiles(state.rates?.total, state.history),
    tile("Connections", format.count(open[0]), { unit: "open", note: `${format.bytes(open[3] + open[4])}/s` }),
    tile("Endpoints", `${format.count(ready)}`, {
      unit: `of ${format.count(endpoints)} ready`, level: ready < endpoints ? "warn" : "", note: format.several(all.length, "Service"),
    }));
}

function attention() {
  const found = problems();
  if (!found.length) return h("p", { class: "well", key: "well" }, dot("good"), "All is well.");
  return h("section", { class: "panel attention", key: "attention" }, h("h2", null, "Needs attention"),
    h("ul", null, found.slice(0, SHOWN_PROBLEMS).map(([level, text, href]) => h("li", { key: text }, dot(level), link(href, text)))),
    found.length > SHOWN_PROBLEMS && h("p", { class: "hint" }, `and ${format.count(found.length - SHOWN_PROBLEMS)} more`));
}

// -- topology ----------------------------------------------------------------------------

function topology(all, onChange) {
  const filter = filterOf("topology");
  const wanted = filter ? all.filter((each) => matches(filter, [each.id, ...each.endpoints.map((endpoint) => endpoint.name)])) : ranked(all);
  const hidden = all.length - Math.min(SERVICES, wanted.length);
  return h("section", { class: "panel topology", key: "topology" },
    h("header", null, h("h2", null, "Topology"), all.length > 3 && filterField("topology", "Show only …", onChange)),
    wanted.length ? h("div", { class: "sized" }, width > 0 && graph(wanted, width)) : h("p", { class: "none" }, "no Service is called so"),
    hidden > 0 && h("p", { class: "hint" }, `The busiest are drawn; ${format.several(hidden, "Service")} more in `, link("#/services", "Services"), "."));
}

/** The most important first, in an order that does not change with every update. */
function ranked(all) {
  const weight = (each) => (each.level === "bad" ? 2 : 0) + (each.requests || each.connections?.[0] ? 1 : 0);
  const stays = new Set(chosen);
  const sorted = [...all].sort((one, other) => weight(other) - weight(one) || stays.has(other.id) - stays.has(one.id) || (one.id < other.id ? -1 : 1));
  const drawn = sorted.slice(0, SERVICES);
  chosen = drawn.map((each) => each.id);
  return drawn.sort((one, other) => (one.id < other.id ? -1 : 1));
}

/** Take the room that there is for the picture; whether it changed. */
export function measure() {
  const element = document.querySelector(".sized");
  const room = element ? element.clientWidth - 8 : width; // less its padding
  const isNew = room !== width;
  width = room;
  return isNew;
}

/** Who calls whom: by requests, and, where a protocol has none, by connections. */
function calls(onChange) {
  const secure = new Map(services().map((each) => [each.id, each.secure]));
  const rows = [...callers(), ...routed()];
  const to = { head: "To", cell: (row) => linkToService(row.target, labelOf(row.target)), by: (row) => labelOf(row.target) };
  const tls = { head: "TLS", cell: (row) => row.secure || secure.get(row.target) ? [icon("lock"), row.secure || secure.get(row.target)] : "–", minor: true };
  const line = { head: "2 minutes", cell: (row) => spark(state.history.services.get(row.target) ?? [], { height: 20 }), minor: true };
  const panelOf = (title, shown, columns, sort) => shown.length > 0 && panel(title,
    table(title.toLowerCase(), [CALLER_COLUMN, to, ...columns, tls], shown, { key: (row) => row.key, onChange, sort, descending: true }));
  return [
    panelOf("Calls", rows.filter((row) => row.requests), [...REQUEST_COLUMNS, line], "req/s"),
    panelOf("Connections", rows.filter((row) => row.connections), CONNECTION_COLUMNS, "Open"),
  ];
}
