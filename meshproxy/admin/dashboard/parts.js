// What views are made of.

import { h } from "./dom.js";
import { HISTORY } from "./feed.js";
import * as format from "./format.js";
import { levelOfRequests } from "./mesh.js";

const ICONS = {
  lock: "M5 7V5a3 3 0 0 1 6 0v2m-7 0h8v6H4z",
  overview: "M4 8.5 11.5 4M4 8.5l7.5 4.5M4 10.5a2 2 0 1 0 0-4 2 2 0 0 0 0 4zM12 5.5a1.8 1.8 0 1 0 0-3.6 1.8 1.8 0 0 0 0 3.6zM12 15a1.8 1.8 0 1 0 0-3.6A1.8 1.8 0 0 0 12 15z",
  services: "M2.5 3h11v4h-11zM2.5 9.5h11v4h-11zM5 5h.01M5 11.5h.01",
  routes: "M3 3v3a3 3 0 0 0 3 3h7m-3-3 3 3-3 3M3 6v7",
  requests: "M3 4h10M3 8h7M3 12h8.5",
  configuration: "M4 2.5h5.5L12 5v8.5H4zM9.5 2.5V5H12M6 8h4M6 10.5h4",
  certificates: "M8 9.5a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7zM6 9l-1 5 3-1.5L11 14l-1-5",
  sources: "M8 6c3 0 5-.9 5-2s-2-2-5-2-5 .9-5 2 2 2 5 2zM3 4v8c0 1.1 2 2 5 2s5-.9 5-2V4M3 8c0 1.1 2 2 5 2s5-.9 5-2",
  theme: "M8 13.5a5.5 5.5 0 1 0 0-11 5.5 5.5 0 0 0 0 11zM8 2.5v11",
  pause: "M5.5 3.5v9M10.5 3.5v9",
  play: "M5 3.5l7.5 4.5L5 12.5z",
};

export function icon(name, label) {
  const named = label ? { role: "img", "aria-label": label } : { "aria-hidden": "true" };
  return h("svg", { class: `icon icon-${name}`, viewBox: "0 0 16 16", ...named }, h("path", { d: ICONS[name] }));
}

const LEVELS = { good: "fine", warn: "look at it", bad: "bad", idle: "no traffic" };

/** A point whose colour says how it is; for those who do not see it, in words. */
export const dot = (level) => h("span", { class: `dot ${level}`, role: "img", "aria-label": LEVELS[level] ?? level });

export const chip = (text, level = "") => h("span", { class: `chip ${level}` }, text);

export const lock = (secure) => secure && h("span", { class: "lock", title: secure }, icon("lock", secure));

export const link = (href, ...text) => h("a", { href }, ...text);

export const linkToService = (id, label) => link(`#/services/${encodeURIComponent(id)}`, label);

/** A line of the last two minutes. What is unknown is a gap; `floor` and `ceiling` bound it where the data do not. */
export function spark(values, { level = "", floor = 0, ceiling = 0, height = 32 } = {}) {
  const width = 120;
  const known = values.filter((value) => value !== null);
  const top = Math.max(ceiling, ...known, floor + 1e-9);
  const low = Math.min(floor, ...known);
  const x = (index) => ((index + HISTORY - values.length) / (HISTORY - 1)) * width;
  const y = (value) => 1.5 + (1 - (value - low) / (top - low || 1)) * (height - 3);
  const points = values.map((value, index) => value !== null && `${x(index).toFixed(1)},${y(value).toFixed(1)}`).filter(Boolean);
  const area = points.length > 1 &&
    h("polygon", { points: `${points[0].split(",")[0]},${height} ${points.join(" ")} ${points.at(-1).split(",")[0]},${height}` });
  return h("svg", { class: `spark ${level}`, viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", "aria-hidden": "true" },
    area, points.length > 1 && h("polyline", { points: points.join(" ") }));
}

/** One number with its history. */
export function tile(label, value, { unit = "", note = "", line = null, level = "" } = {}) {
  return h("div", { class: "tile", key: label },
    h("div", { class: "tile-label" }, label),
    h("div", { class: `tile-value ${level}` }, value, unit && h("span", { class: "unit" }, unit)),
    h("div", { class: "tile-note" }, note || "\u00a0"),
    line);
}

/** The four numbers of anything that has requests. */
export function requestTiles(requests, history) {
  return [
    tile("Requests", format.rate(requests?.[0]), { unit: "/s", line: spark(history.rate) }),
    tile("Success", format.share(requests?.[1]), {
      level: levelOfRequests(requests),
      note: failuresOf(requests),
      line: history.success && spark(history.success, { level: "good", floor: 0.9, ceiling: 1 }),
    }),
    tile("Latency", format.latency(requests?.[3]), {
      unit: requests ? "p99" : "", note: requests ? `${format.latency(requests[2])} p50` : "", line: history.p99 && spark(history.p99),
    }),
  ];
}

function failuresOf(requests) {
  if (!requests) return "";
  const failed = requests[0] * (1 - requests[1]);
  return failed ? `${format.rate(failed)}/s fail` : "none fails";
}

export function panel(title, ...children) {
  return h("section", { class: "panel", key: title }, h("h2", null, title), ...children);
}

export const empty = (title, text) => h("div", { class: "empty" }, h("p", { class: "empty-title" }, title), text && h("p", null, text));

/** Facts as names and values; what is empty is left out. */
export function facts(pairs) {
  return h("dl", { class: "facts" }, pairs.filter(([, value]) => value !== "" && value !== null && value !== false && value?.length !== 0)
    .map(([name, value]) => h("div", { key: name }, h("dt", null, name), h("dd", null, value))));
}

// -- tables ------------------------------------------------------------------------------

const FIRST = 200; // rows that are there at once; more on demand
const kept = new Map(); // how each table was left: sorted by what, and whether all is shown

/**
 * A table that its heads sort. A column is { head, cell(row), by(row), num, minor }: what is shown, what is sorted by,
 * whether it is a number, and whether a phone can do without it.
 */
export function table(id, columns, rows, { key, onChange, none = "nothing here", sort = null, descending = false }) {
  if (!kept.has(id)) kept.set(id, { sort, descending, all: false });
  const left = kept.get(id);
  if (!rows.length) return h("p", { class: "none" }, none);
  const column = columns.find((each) => each.head === left.sort);
  const sorted = column ? sortBy(rows, column, left.descending) : rows;
  const shown = left.all ? sorted : sorted.slice(0, FIRST);
  const sortBySome = (each) => () => {
    left.descending = left.sort === each.head ? !left.descending : Boolean(each.num);
    left.sort = each.head;
    onChange();
  };
  return h("div", { class: "scroll", key: id, role: "region", "aria-label": id, tabindex: "0" },
    h("table", null,
      h("thead", null, h("tr", null, columns.map((each) => headOf(each, left, sortBySome(each))))),
      h("tbody", null, shown.map((row) => h("tr", { key: key(row) }, columns.map((each) => cellOf(each, row)))))),
    shown.length < rows.length &&
      h("button", { class: "more", onclick: () => { left.all = true; onChange(); } }, `Show ${format.count(rows.length - shown.length)} more`));
}

function headOf(column, left, onclick) {
  const isSorted = column.head === left.sort;
  const order = left.descending ? "descending" : "ascending";
  return h("th", { class: classOf(column), "aria-sort": isSorted ? order : null, scope: "col" },
    column.by ? h("button", { onclick }, column.head, h("span", { class: "arrow", "aria-hidden": "true" }, isSorted ? (left.descending ? "↓" : "↑") : "")) : column.head);
}

const cellOf = (column, row) => h("td", { class: classOf(column) }, column.cell(row));

const classOf = (column) => [column.num && "num", column.minor && "minor", column.wide && "wide"].filter(Boolean).join(" ") || null;

function sortBy(rows, column, descending) {
  const sign = descending ? -1 : 1;
  return [...rows].sort((one, other) => {
    const [first, second] = [column.by(one), column.by(other)];
    if (first === second) return 0;
    if (first === null || first === undefined) return 1;
    if (second === null || second === undefined) return -1;
    return (typeof first === "string" ? first.localeCompare(second, "en", { numeric: true }) : first - second) * sign;
  });
}

/** The columns of whatever has `requests` as in `RequestRate`. */
export const REQUEST_COLUMNS = [
  { head: "req/s", cell: (row) => format.rate(row.requests?.[0]), by: (row) => row.requests?.[0] ?? 0, num: true },
  { head: "Success", cell: (row) => successOf(row.requests), by: (row) => row.requests?.[1] ?? null, num: true },
  { head: "p50", cell: (row) => format.latency(row.requests?.[2]), by: (row) => row.requests?.[2] ?? null, num: true, minor: true },
  { head: "p99", cell: (row) => format.latency(row.requests?.[3]), by: (row) => row.requests?.[3] ?? null, num: true },
];

/** Those of whatever has `connections` as in `ConnectionRate`. */
export const CONNECTION_COLUMNS = [
  { head: "Open", cell: (row) => format.count(row.connections?.[0]), by: (row) => row.connections?.[0] ?? 0, num: true },
  { head: "New/s", cell: (row) => format.rate(row.connections?.[1]), by: (row) => row.connections?.[1] ?? 0, num: true },
  { head: "Failed/s", cell: (row) => failedOf(row.connections), by: (row) => row.connections?.[2] ?? 0, num: true },
  { head: "Sent/s", cell: (row) => format.bytes(row.connections?.[3] ?? 0), by: (row) => row.connections?.[3] ?? 0, num: true, minor: true },
  { head: "Received/s", cell: (row) => format.bytes(row.connections?.[4] ?? 0), by: (row) => row.connections?.[4] ?? 0, num: true, minor: true },
];

const failedOf = (connections) => h("span", { class: connections?.[2] ? "text-bad" : null }, format.rate(connections?.[2]));

const successOf = (requests) => h("span", { class: `text-${levelOfRequests(requests)}` }, format.share(requests?.[1]));

// -- filters -----------------------------------------------------------------------------

const filters = new Map();

/** What was typed into the filter called `id`, in lower case. */
export const filterOf = (id) => (filters.get(id) ?? "").trim().toLowerCase();

export function filterField(id, placeholder, onChange) {
  return h("input", {
    type: "search", class: "filter", key: `filter-${id}`, placeholder, "aria-label": placeholder, value: filters.get(id) ?? "",
    autocomplete: "off", spellcheck: "false",
    oninput: (event) => { filters.set(id, event.target.value); onChange(); },
  });
}

/** Whether every word of `filter` is in one of `texts`. */
export function matches(filter, texts) {
  if (!filter) return true;
  const all = texts.join(" ").toLowerCase();
  return filter.split(/\s+/).every((word) => all.includes(word));
}
