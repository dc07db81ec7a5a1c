// Where the configuration comes from, and what of here is made known elsewhere.

import { h } from "../dom.js";
import { state } from "../feed.js";
import * as format from "../format.js";
import { chip, dot, facts, panel, table } from "../parts.js";

export function sources(onChange) {
  const { status } = state;
  if (!status) return null;
  return [
    h("div", { class: "cards", key: "cards" }, status.sources.map(sourceCard)),
    status.registrations.length > 0 && panel("Registered here", table("registrations", REGISTRATION_COLUMNS, status.registrations, { key: (row) => row.id, onChange })),
    status.exports.length > 0 && panel("Telemetry", table("exports", EXPORT_COLUMNS, status.exports, { key: (row) => `${row.signal} ${row.endpoint}`, onChange })),
    panel("Access log", accessLog(status.accessLog)),
  ];
}

function sourceCard(each) {
  const level = each.problem ? "bad" : each.held ? "warn" : "good";
  return h("article", { class: "card", key: each.name },
    h("header", null, dot(level), h("h3", { class: "cut" }, each.name), chip(each.state, level === "good" ? "good" : level)),
    each.address && h("p", { class: "hint mono" }, each.address),
    each.problem && h("p", { class: "text-bad" }, each.problem),
    each.held > 0 && h("p", { class: "text-warn" }, `${format.several(each.held, "removal")} wait to be confirmed`),
    facts([
      ["Resources", format.count(each.resources)],
      ["Of these", Object.entries(each.counts).map(([kind, number]) => `${number} ${kind}`).join(", ")],
      ["Changed", each.age === null ? "never" : `${format.age(each.age)} ago`],
      ["Last heard of", each.stale !== null && `${format.age(each.stale)} ago`],
      ["Troubles so far", each.errors > 0 && String(each.errors)],
    ]));
}

const REGISTRATION_COLUMNS = [
  { head: "Service", cell: (row) => [dot(row.registered ? "good" : "bad"), row.id], by: (row) => row.id },
  { head: "With", cell: (row) => h("span", { class: "mono" }, row.address), by: (row) => row.address },
  { head: "Registered", cell: (row) => (row.registered ? "yes" : "no"), by: (row) => row.registered },
  { head: "Health", cell: (row) => row.health || "–", minor: true },
  { head: "Problem", cell: (row) => row.problem || "–" },
];

const EXPORT_COLUMNS = [
  { head: "Signal", cell: (row) => [dot(row.problem ? "bad" : "good"), row.signal], by: (row) => row.signal },
  { head: "To", cell: (row) => h("span", { class: "mono" }, row.endpoint), by: (row) => row.endpoint },
  { head: "Sent", cell: (row) => format.count(row.sent), by: (row) => row.sent, num: true },
  { head: "Waiting", cell: (row) => format.count(row.waiting), by: (row) => row.waiting, num: true, minor: true },
  { head: "Dropped", cell: (row) => format.count(row.dropped), by: (row) => row.dropped, num: true },
  { head: "Problem", cell: (row) => row.problem || "–" },
];

function accessLog(log) {
  if (!log.path) return h("p", { class: "none" }, "none is configured");
  return [
    facts([["Written to", log.path === "-" ? "standard output" : log.path], ["Lines", format.count(log.lines)], ["Dropped", format.count(log.dropped)]]),
    log.problem && h("p", { class: "text-bad" }, log.problem),
  ];
}
