// Every Service, and a page for each.

import { h } from "../dom.js";
import { state } from "../feed.js";
import * as format from "../format.js";
import { callers, isEdge, labelOf, levelOfEndpoint, readiness, routed, service as find, serviceOfCluster, services as all } from "../mesh.js";
import { chip, CONNECTION_COLUMNS, dot, empty, facts, filterField, filterOf, linkToService, lock, matches, panel, REQUEST_COLUMNS, requestTiles, spark, table, tile } from "../parts.js";
import { requestTable } from "./requests.js";
import { routeCard } from "./routes.js";

export function services(onChange) {
  const filter = filterOf("services");
  const rows = all().filter((each) => matches(filter, [each.id, each.type, ...each.addresses, ...Object.entries(each.selector).flat()]));
  if (!all().length) return empty("No Services yet", "As soon as a manifest or a registry names one, it is here.");
  return [
    h("header", { class: "bar", key: "bar" }, filterField("services", "Filter by name, address or label", onChange),
      h("span", { class: "hint" }, format.several(rows.length, "Service"))),
    panel("", table("services", COLUMNS, rows, { key: (row) => row.id, onChange, none: "no Service is called so", sort: "Service" })),
  ];
}

const RANK = { bad: 0, warn: 1, good: 2, idle: 3 };

const COLUMNS = [
  { head: "Service", cell: (row) => [dot(row.level), linkToService(row.id, labelOf(row.id)), lock(row.secure)], by: (row) => row.id },
  { head: "State", cell: readiness, by: (row) => RANK[row.level] },
  ...REQUEST_COLUMNS,
  { head: "Open", cell: (row) => format.count(row.connections?.[0]), by: (row) => row.connections?.[0] ?? 0, num: true, minor: true },
  { head: "2 minutes", cell: (row) => spark(state.history.services.get(row.id) ?? [], { height: 20 }), minor: true },
  { head: "Address", cell: (row) => row.addresses[0] ?? "–", by: (row) => row.addresses[0] ?? "", minor: true },
  { head: "Ports", cell: (row) => row.ports.join(", ") || "–", minor: true },
];

// -- one ---------------------------------------------------------------------------------

export function service(id, onChange) {
  const found = find(id);
  if (!found) return empty(`There is no Service ${id}`, "It may be gone, or not be there yet.");
  return [
    h("header", { class: "title", key: "title" }, dot(found.level), h("h1", null, labelOf(found.id)), chip(found.type),
      found.secure && h("span", { class: "chip" }, lock(found.secure), found.secure), h("span", { class: "hint" }, found.namespace)),
    h("div", { class: "tiles", key: "tiles" },
      requestTiles(found.requests, { rate: state.history.services.get(id) ?? [] }),
      tile("Connections", format.count(found.connections?.[0]), {
        unit: "open", note: `${format.bytes((found.connections?.[3] ?? 0) + (found.connections?.[4] ?? 0))}/s, ${format.rate(found.connections?.[1])} new/s`,
      }),
      tile("Endpoints", `${found.ready}`, { unit: `of ${found.total} ready`, level: found.ready < found.total ? "warn" : "" })),
    panel("Endpoints", table("endpoints", ENDPOINT_COLUMNS, found.endpoints, {
      key: (row) => row.key, onChange, none: found.type === "ExternalName" ? "names of other systems have none" : "no workload is selected",
    })),
    callersOf(found, onChange),
    routesOf(found),
    recent(found, onChange),
    happened(found),
    panel("Configuration", facts([
      ["Addresses", found.addresses.join(", ")], ["Ports", found.ports.join(", ")], ["Algorithm", found.algorithm], ["Policy", found.policy],
      ["Selector", Object.entries(found.selector).map(([name, value]) => `${name}=${value}`).join(", ")],
    ])),
  ];
}

const STATUS_ORDER = { bad: 0, warn: 1, idle: 2, good: 3 };

const ENDPOINT_COLUMNS = [
  { head: "Endpoint", cell: (row) => [dot(levelOfEndpoint(row)), row.name || row.id, lock(row.secure && "TLS")], by: (row) => row.name || row.id },
  { head: "Status", cell: statusOf, by: (row) => STATUS_ORDER[levelOfEndpoint(row)] },
  ...REQUEST_COLUMNS,
  { head: "Open", cell: (row) => format.count(row.connections?.[0]), by: (row) => row.connections?.[0] ?? 0, num: true, minor: true },
  { head: "Address", cell: (row) => row.id, by: (row) => row.id, minor: true },
  { head: "Weight", cell: (row) => row.weight, by: (row) => row.weight, num: true, minor: true },
  { head: "Zone", cell: (row) => row.zone || "–", by: (row) => row.zone, minor: true },
];

function statusOf(row) {
  const level = row.usable ? "" : levelOfEndpoint(row);
  const text = row.status === "Unknown" ? "not checked" : row.status;
  const why = [row.reason, row.age !== null && `for ${format.age(row.age)}`].filter(Boolean).join(", ");
  return [h("span", { class: level && `text-${level}` }, text), why && h("span", { class: "hint" }, ` ${why}`)];
}

/** Who calls it, by requests or by connections, and which Services' routes lead here. */
function callersOf(found, onChange) {
  const rows = [...callers(), ...routed()].filter((row) => row.target === found.id);
  const columns = [
    CALLER_COLUMN,
    ...(rows.some((row) => row.requests) ? REQUEST_COLUMNS : []),
    ...(rows.some((row) => row.connections) ? CONNECTION_COLUMNS : []),
  ];
  return rows.length > 0 && panel("Callers", table("callers", columns, rows, { key: (row) => row.key, onChange, sort: "Caller" }));
}

/** Who it is, proved where there is a lock; and the edge that it came in by. */
export const CALLER_COLUMN = {
  head: "Caller",
  cell: (row) => [h("span", { title: row.id }, row.name), lock(row.secure), isEdge(row.source) && h("span", { class: "hint" }, ` by ${labelOf(row.source)}`)],
  by: (row) => row.name,
};

const requestsOf = (found) => state.requests.filter((each) => serviceOfCluster(each.cluster) === found.id);

function routesOf(found) {
  const own = (row) => row.parent.startsWith(`Service/${found.id}:`) || row.backends.some((each) => serviceOfCluster(each.cluster) === found.id);
  const cards = state.routes.map((row, index) => own(row) && routeCard(row, index)).filter(Boolean);
  return cards.length > 0 && panel("Routes", h("div", { class: "cards" }, cards));
}

function recent(found, onChange) {
  const rows = requestsOf(found).slice(-30).reverse();
  return rows.length > 0 && panel("Recent requests", requestTable(rows, "requests-of-service", onChange));
}

function happened(found) {
  const names = new Set([`Service/${found.name}`, `Service/${found.id}`]);
  const rows = state.events.filter((each) => names.has(each.event.subject)).slice(-20).reverse();
  return rows.length > 0 && panel("Events", eventList(rows));
}

/** What happened, the newest first. */
export function eventList(rows) {
  return h("ul", { class: "events" }, rows.map((each) => h("li", { key: `${each.first}${each.event.subject}${each.event.message}` },
    dot(each.event.type === "Warning" ? "warn" : "idle"), h("time", null, format.clock(each.last)),
    h("span", { class: "reason" }, each.event.reason), h("span", null, each.event.message), each.count > 1 && chip(`×${each.count}`))));
}
