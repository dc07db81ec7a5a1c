// What is in force, who has acknowledged it, and what is wrong with what was written.

import { h } from "../dom.js";
import { state } from "../feed.js";
import * as format from "../format.js";
import { chip, dot, facts, panel, table } from "../parts.js";
import { eventList } from "./services.js";

const HISTORY = new Set(["Acknowledged", "Rejected"]);

export function configuration(onChange) {
  const { status, diagnostics, events } = state;
  if (!status) return null;
  const { config } = status;
  const versions = events.filter((each) => HISTORY.has(each.event.reason)).reverse();
  const others = events.filter((each) => !HISTORY.has(each.event.reason)).slice(-40).reverse();
  return [
    panel("In force", h("div", { class: "version" }, h("span", { class: "mono big" }, config.version || "none"),
      config.version === config.lastGood && config.version ? chip("ACK by all workers", "good") : chip("on its way to the workers", "warn")),
      facts([["For", format.age(config.age)], ["Last good", config.lastGood || "none"], ["Refused so far", String(config.rejections)]]),
      config.rejection && h("div", { class: "refusal" }, h("strong", null, `NACK, ${format.age(config.rejectionAge)} ago: the last good configuration stays. `), h("pre", null, config.rejection))),
    panel("Workers", table("workers", WORKER_COLUMNS, status.workers, { key: (row) => row.id, onChange })),
    panel("Diagnostics", table("diagnostics", DIAGNOSTIC_COLUMNS, diagnostics, {
      key: (row) => `${row.file} ${row.line} ${row.field} ${row.message}`, onChange, none: "nothing is wrong, or odd, with what the sources say",
    })),
    panel("Listeners", listeners(status.failedListeners)),
    panel("Versions", versions.length ? eventList(versions) : h("p", { class: "none" }, "nothing yet")),
    others.length > 0 && panel("Other events", eventList(others)),
  ];
}

const WORKER_COLUMNS = [
  { head: "Worker", cell: (row) => [dot(row.state === "ready" ? "good" : "warn"), String(row.id)], by: (row) => row.id },
  { head: "State", cell: (row) => row.state, by: (row) => row.state },
  { head: "Configuration", cell: (row) => h("span", { class: "mono" }, row.version || "none"), by: (row) => row.version },
  { head: "Answer", cell: answerOf },
  { head: "Process", cell: (row) => row.pid, by: (row) => row.pid, num: true, minor: true },
  { head: "Restarts", cell: (row) => row.restarts, by: (row) => row.restarts, num: true, minor: true },
  { head: "Up", cell: (row) => format.age(row.uptime), by: (row) => row.uptime, num: true },
];

function answerOf(row) {
  return row.version === state.status.config.version && row.version ? chip("ACK", "good") : chip("waiting", "warn");
}

const DIAGNOSTIC_COLUMNS = [
  { head: "Severity", cell: (row) => chip(severityOf(row), severityOf(row) === "warning" ? "warn" : "bad"), by: severityOf },
  { head: "Where", cell: (row) => h("span", { class: "mono" }, placeOf(row) || "–"), by: placeOf },
  { head: "Resource", cell: (row) => [row.resource || "–", row.field && h("div", { class: "hint mono" }, row.field)], by: (row) => row.resource ?? "" },
  { head: "What", cell: (row) => row.message, wide: true },
];

function severityOf(row) {
  return row.severity ?? "error"; // which the API leaves out
}

function placeOf(row) {
  return row.file ? (row.line ? `${row.file}:${row.line}` : row.file) : "";
}

function listeners(failed) {
  const names = Object.entries(failed);
  if (!names.length) return h("p", { class: "none" }, "every address is bound");
  return h("ul", { class: "events" }, names.map(([name, why]) => h("li", { key: name }, dot("bad"), h("span", { class: "mono" }, name), h("span", null, why))));
}
