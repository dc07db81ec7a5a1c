// Rules, and how their requests are split: as configured, and as it really is.

import { h } from "../dom.js";
import { state } from "../feed.js";
import * as format from "../format.js";
import { serviceOfCluster } from "../mesh.js";
import { chip, empty, filterField, filterOf, linkToService, matches } from "../parts.js";

const FIRST = 60;

export function routes(onChange) {
  if (!state.routes.length) return empty("No routes", "Without an HTTPRoute, requests go to the Service that they are for.");
  const filter = filterOf("routes");
  const rows = state.routes.map((row, index) => ({ row, index }))
    .filter(({ row }) => matches(filter, [row.namespace, row.name, row.rule, row.parent, ...row.hostnames, ...row.matches, ...row.backends.map((each) => each.backend)]));
  return [
    h("header", { class: "bar", key: "bar" }, filterField("routes", "Filter by name, host, path or backend", onChange),
      h("span", { class: "hint" }, format.several(rows.length, "rule"))),
    h("div", { class: "cards", key: "cards" }, rows.slice(0, FIRST).map(({ row, index }) => routeCard(row, index))),
    rows.length > FIRST && h("p", { class: "hint" }, `and ${format.count(rows.length - FIRST)} more: filter for the one that you want`),
  ];
}

export function routeCard(row, index) {
  const shares = state.rates?.routes[index] ?? [];
  const perSecond = shares.reduce((sum, [rate]) => sum + rate, 0);
  return h("article", { class: "card", key: `${row.table} ${row.rule} ${index}` },
    h("header", null, h("h3", { class: "cut" }, row.rule), chip(row.kind), h("span", { class: "rate" }, `${format.rate(perSecond)}/s`)),
    h("p", { class: "hint" }, `at ${row.parent}`, row.hostnames.length > 0 && ` for ${row.hostnames.join(", ")}`),
    h("ul", { class: "matches" }, row.matches.map((each) => h("li", { key: each }, each))),
    split(row, shares, perSecond),
    row.filters.concat(row.limits).length > 0 && h("ul", { class: "words" }, [...row.filters, ...row.limits].map((each) => h("li", { key: each }, each))));
}

/** Two bars: what each backend is to have, and what it has; over the last seconds, or since the start where they had nothing. */
function split(row, shares, perSecond) {
  if (!row.backends.length) return null;
  const own = row.backends.map((_, position) => shares[position + 1] ?? [0, 0]);
  const measured = own.map(([rate, total]) => (perSecond ? rate : total));
  const sum = measured.reduce((one, other) => one + other, 0);
  const actual = measured.map((value) => (sum ? value / sum : null));
  return h("div", { class: "split" },
    bar("configured", row.backends.map((each) => each.share)),
    bar(sum ? (perSecond ? "now" : "since start") : "no traffic", actual.map((each) => each ?? 0)),
    h("ul", { class: "legend" }, row.backends.map((each, position) => h("li", { key: `${each.backend} ${position}` },
      h("span", { class: `swatch c${position % 6}` }),
      each.cluster ? linkToService(serviceOfCluster(each.cluster), each.backend) : h("span", { class: "text-bad" }, each.backend),
      h("span", { class: "hint" }, `${format.share(each.share)} → ${format.share(actual[position])}, ${format.count(own[position][1])} in all`),
      each.problem && h("span", { class: "text-bad" }, each.problem)))));
}

function bar(name, values) {
  return h("div", { class: "split-row" }, h("span", { class: "split-name" }, name),
    h("div", { class: "split-bar", role: "img", "aria-label": `${name}: ${values.map(format.share).join(", ")}` },
      values.map((value, position) => h("span", { class: `c${position % 6}`, key: position, style: { "flex-grow": String(value) } }))));
}
