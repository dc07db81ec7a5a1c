// Some of the last requests, with a filter.

import { h } from "../dom.js";
import { state } from "../feed.js";
import * as format from "../format.js";
import { labelOf, serviceOfCluster } from "../mesh.js";
import { empty, facts, filterField, filterOf, icon, linkToService, matches, panel } from "../parts.js";

const SHOWN = 200;
const KINDS = { all: () => true, errors: (each) => each.bad, slow: (each) => each.seconds >= 0.5 };
let kind = "all";
let frozen = null; // the requests that are shown while paused
let opened = 0; // the number of the one whose details are shown

export function requests(onChange) {
  const all = frozen ?? state.requests;
  if (!all.length) return empty("No requests yet", "As soon as one ends, it is here. Connections without HTTP have none.");
  const filter = filterOf("requests");
  const rows = all.filter((each) => KINDS[kind](each) && matches(filter, textsOf(each)));
  return [
    h("header", { class: "bar", key: "bar" },
      filterField("requests", "Filter by path, host, Service, client, status …", onChange),
      h("div", { class: "switch", role: "group", "aria-label": "Which requests" },
        Object.keys(KINDS).map((each) => h("button", { key: each, "aria-pressed": String(kind === each), onclick: () => { kind = each; onChange(); } }, each))),
      h("button", { class: "quiet", "aria-pressed": String(Boolean(frozen)), onclick: () => { frozen = frozen ? null : state.requests; onChange(); } },
        icon(frozen ? "play" : "pause"), frozen ? "Go on" : "Pause")),
    panel("", requestTable(rows.slice(-SHOWN).reverse(), "requests", onChange)),
    h("p", { class: "hint", key: "note" }, "A sample: up to 20 requests a second of each worker, and up to 50 that failed. The access log has all."),
  ];
}

const textsOf = (each) => [each.method, each.host, each.path, each.cluster, each.endpoint, each.client, each.status || "none", each.flags, each.detail, each.rule, each.requestId, each.traceId];

const levelOf = (each) => (each.status >= 500 || !each.status ? "bad" : each.bad ? "warn" : "good");

export function requestTable(rows, id, onChange) {
  if (!rows.length) return h("p", { class: "none" }, "no request is like this");
  return h("div", { class: "scroll", role: "region", "aria-label": id, tabindex: "0" }, h("table", { class: "requests" },
    h("thead", null, h("tr", null, ["Time", "Status", "Request", "Took", "Service"].map((each) => h("th", { key: each, scope: "col", class: each === "Took" ? "num" : null }, each)),
      ["Endpoint", "Client"].map((each) => h("th", { key: each, class: "minor", scope: "col" }, each)))),
    h("tbody", null, rows.flatMap((each) => [rowOf(each, onChange), each.number === opened && detailsOf(each)]))));
}

function rowOf(each, onChange) {
  const target = serviceOfCluster(each.cluster);
  const toggle = () => { opened = opened === each.number ? 0 : each.number; onChange(); };
  return h("tr", { key: each.number },
    h("td", { class: "mono" }, format.clock(each.started)),
    h("td", null, h("span", { class: `code ${levelOf(each)}` }, each.status || "none"), each.flags && h("span", { class: "flag" }, each.flags)),
    h("td", { class: "wide" }, h("button", { class: "as-text", "aria-expanded": String(opened === each.number), onclick: toggle },
      h("b", null, each.method || "?"), " ", h("span", { class: "mono" }, each.path || each.detail), h("span", { class: "hint" }, ` ${each.host}`))),
    h("td", { class: "num" }, format.latency(each.seconds)),
    h("td", null, target ? linkToService(target, labelOf(target)) : "–"),
    h("td", { class: "minor mono" }, each.endpoint || "–"),
    h("td", { class: "minor mono" }, each.client));
}

function detailsOf(each) {
  return h("tr", { key: `details ${each.number}`, class: "details" }, h("td", { colspan: 7 }, facts([
    ["Why", each.detail], ["Flags", each.flags], ["Rule", each.rule], ["Listener", each.listener], ["Endpoint", each.endpoint], ["Client", each.client],
    ["Tries", String(each.attempts)], ["Received", format.bytes(each.received)], ["Sent", format.bytes(each.sent)],
    ["Request id", each.requestId], ["Trace id", each.traceId && `${each.traceId}${each.sampled ? "" : " (not recorded)"}`],
  ])));
}
