// Who calls whom, drawn: callers, Services (those that others route to one column further), endpoints. Who comes in by
// a Gateway, or for an Ingress, stands before it; where nobody calls, the entry itself stands in the callers' place.

import { h } from "./dom.js";
import { state } from "./feed.js";
import * as format from "./format.js";
import { callers, groupBy, HERE, isEdge, labelOf, levelOfConnections, levelOfEndpoint, levelOfRequests, readiness, together } from "./mesh.js";
import { dot, icon, lock } from "./parts.js";

export const SERVICES = 14; // that are drawn; a page full of lines tells nothing
const CALLERS = 8; // that are drawn; all others are one
const ENDPOINTS = 16; // that are drawn; where there are more, those of a Service are one
const COLUMNS = 3; // of Services: who is routed to from another is one further
const HEIGHT = 50;
const NARROWEST = 108; // of a node: beyond that a phone scrolls
const GAP = 8; // between endpoints of one Service
const BREAK = 18; // between Services

let drawnCallers = []; // ids: they stay while they call, so that the picture is calm

/** `services` are the rows to choose from, the most important first; `width` is the room that there is. */
export function graph(services, width) {
  const chosen = services.slice(0, SERVICES);
  const narrow = width < 640;
  const callersHere = drawn(callers().filter((row) => chosen.some((each) => each.id === row.target)));
  const calls = callsTo(chosen, callersHere);
  const calling = new Set(calls.map((call) => call.source));
  const entries = state.mesh.entries.filter((each) => calling.has(each.id)).map((each) => entryNode(each, callersHere));
  const ofEdges = new Set(calls.filter((call) => isEdge(call.target)).map((call) => call.source));
  const who = callerNodes(callersHere.filter((row) => calling.has(row.node)));
  const places = layOut({
    entries: [...who.filter((each) => !ofEdges.has(each.id)), ...entries], before: who.filter((each) => ofEdges.has(each.id)),
    services: chosen, calls, width, narrow,
  });
  return draw(places, [...calls.map(lineOfCall), ...linesToEndpoints(chosen, places.nodes)], narrow);
}

/** The node that each caller is drawn as. Those of this machine are the entry for local clients. */
function drawn(rows) {
  const traffic = new Map();
  for (const { id, requests, connections } of rows) traffic.set(id, (traffic.get(id) ?? 0) + (requests?.[0] ?? 0) + (connections?.[0] ?? 0) + (connections?.[1] ?? 0));
  const stays = new Set(drawnCallers);
  const sorted = [...traffic.keys()].filter(Boolean).sort((one, other) => stays.has(other) - stays.has(one) || traffic.get(other) - traffic.get(one));
  drawnCallers = sorted.slice(0, CALLERS);
  const shown = new Set(drawnCallers);
  const nodeOf = ({ source, id }) => {
    if (source === "Clients" && id === HERE) return source;
    return shown.has(id) ? `caller ${id}` : `others ${isEdge(source) ? source : ""}`;
  };
  return rows.map((row) => ({ ...row, node: nodeOf(row) }));
}

/** The calls that are drawn: of those that do not happen only the ones without which nothing would lead to a Service. */
function callsTo(services, callersHere) {
  const ids = new Set(services.map((each) => each.id));
  const all = state.mesh.calls.map(([source, target], index) => ({ source, target, requests: state.rates?.calls[index] ?? null, connections: null }))
    .filter((call) => ids.has(call.target) && (ids.has(call.source) || state.mesh.entries.some((each) => each.id === call.source)));
  const direct = callersHere.filter((row) => !isEdge(row.source));
  const known = new Set(direct.map((row) => `${row.source}>${row.target}`));
  const calls = [
    ...all.filter((call) => !known.has(`${call.source}>${call.target}`)).map((call) => withConnections(call, callersHere)),
    ...summed(direct.map((row) => ({ ...row, source: row.node }))),
  ];
  const busy = new Set(calls.filter(happens).map((call) => call.target));
  const ofEdges = summed(callersHere.filter((row) => isEdge(row.source)).map((row) => ({ ...row, source: row.node, target: row.source })));
  return [...calls.filter((call) => happens(call) || !busy.has(call.target)), ...ofEdges];
}

const happens = (call) => Boolean(call.requests || call.connections);

/** What comes in by an edge without requests is known by its callers alone. */
function withConnections(call, callersHere) {
  const { connections } = together(callersHere.filter((row) => row.source === call.source && row.target === call.target));
  return { ...call, connections };
}

/** One call for each pair of nodes. */
function summed(rows) {
  return [...groupBy(rows, (row) => `${row.source}>${row.target}`).values()].map((several) => ({ ...several[0], ...together(several), secure: several.every((each) => each.secure) ? several[0].secure : "" }));
}

// -- nodes -------------------------------------------------------------------------------

function entryNode(entry, callersHere) {
  const own = together(callersHere.filter((row) => (isEdge(entry.id) ? row.source : row.node) === entry.id));
  const requests = isEdge(entry.id) ? state.rates?.entries[entry.id] ?? null : own.requests;
  const kind = entry.id.startsWith("Gateway/") ? "Gateway" : entry.addresses[0] ?? "applications here";
  return {
    id: entry.id, label: labelOf(entry.id), secure: entry.secure, level: requests ? levelOfRequests(requests) : levelOfConnections(own.connections),
    text: textOf(requests, own.connections) || kind, title: titleOf(requests), kind: "entry",
  };
}

function callerNodes(rows) {
  const byNode = groupBy(rows.filter((row) => row.node !== row.source), (row) => row.node);
  return [...byNode].sort(([one], [other]) => (one < other ? -1 : 1)).map(([id, several]) => {
    const { requests, connections } = together(several);
    const isOthers = id.startsWith("others ");
    return {
      id, label: isOthers ? "others" : several[0].name, secure: isOthers ? "" : several[0].secure, kind: "entry",
      level: requests ? levelOfRequests(requests) : levelOfConnections(connections),
      text: textOf(requests, connections), title: titleOf(requests),
    };
  });
}

function serviceNode(service, narrow) {
  return {
    id: service.id, label: labelOf(service.id), secure: service.secure, level: service.level, kind: "service",
    text: (narrow ? "" : wideTextOf(service.requests)) || textOf(service.requests, service.connections) || readiness(service),
    title: titleOf(service.requests),
    href: `#/services/${encodeURIComponent(service.id)}`,
  };
}

function endpointNodes(service, most) {
  const href = `#/services/${encodeURIComponent(service.id)}`;
  const shown = service.endpoints.slice(0, service.endpoints.length > most ? most - 1 : most);
  const nodes = shown.map((each) => ({
    id: `${service.id} ${each.key}`, label: each.name || each.id, secure: each.secure && service.secure, kind: "endpoint", href,
    level: levelOfEndpoint(each),
    text: each.usable ? shortText(each) || each.id : each.reason || each.status, title: each.usable ? titleOf(each.requests) : "",
  }));
  const hidden = service.endpoints.slice(shown.length);
  if (hidden.length) {
    const bad = hidden.filter((each) => !each.usable).length;
    nodes.push({
      id: `${service.id} more`, label: shown.length ? `${format.count(hidden.length)} more` : format.several(hidden.length, "endpoint"),
      level: bad === service.endpoints.length ? "bad" : bad ? "warn" : "good", kind: "endpoint", href,
      text: bad ? `${format.count(bad)} not ready` : "all ready",
    });
  }
  return nodes;
}

function textOf(requests, connections) {
  if (requests) return `${format.rate(requests[0])}/s · ${format.share(requests[1])} · ${format.latency(requests[3])}`;
  if (connections) return `${connections[0]} open · ${format.bytes(connections[3] + connections[4])}/s`;
  return "";
}

/** With p50 / p99, where there is room. */
function wideTextOf(requests) {
  return requests ? `${format.rate(requests[0])}/s · ${format.share(requests[1])} · ${format.latency(requests[2])} / ${format.latency(requests[3])}` : "";
}

/** All that there is, for whoever points at it. */
function titleOf(requests) {
  if (!requests) return "";
  return `${format.rate(requests[0])}/s · ${format.share(requests[1])} · p50 ${format.latency(requests[2])} · p99 ${format.latency(requests[3])}`;
}

/** What matters most of an endpoint: how many fail, if any do, or how long it takes. */
function shortText({ requests, connections }) {
  if (!requests) return textOf(null, connections);
  return `${format.rate(requests[0])}/s · ${requests[1] < 1 ? format.share(requests[1]) : format.latency(requests[3])}`;
}

// -- places ------------------------------------------------------------------------------

/** Each Service beside its endpoints, and whoever calls them in their middle: few lines cross, and none goes through a node. */
function layOut({ entries, before, services, calls, width, narrow }) {
  const byId = new Map(services.map((each) => [each.id, each]));
  const targets = (id) => calls.filter((call) => call.source === id && byId.has(call.target)).map((call) => call.target);
  const routed = new Set(services.flatMap((each) => targets(each.id)));
  const most = [12, 4].find((each) => sum(services.map(({ endpoints }) => Math.min(each, endpoints.length))) <= ENDPOINTS) ?? 1;
  const rowHeight = narrow ? 40 : 34;
  const middles = new Map();
  const placed = []; // { node, column, top, height }
  let bottom = 0;

  const place = (service, column) => {
    const rows = endpointNodes(service, most);
    const own = [];
    middles.set(service.id, null); // under way: routes may go in circles
    rows.forEach((node, index) => {
      const height = rows.length === 1 ? HEIGHT : rowHeight; // as high as its Service
      placed.push({ node, column: "last", top: bottom + (height - rowHeight) / 2, height: rowHeight });
      own.push(bottom + height / 2);
      bottom += height + (index < rows.length - 1 ? GAP : BREAK);
    });
    for (const target of targets(service.id)) {
      if (!middles.has(target)) place(byId.get(target), Math.min(column + 1, COLUMNS - 1));
      if (middles.get(target) !== null) own.push(middles.get(target));
    }
    if (!own.length) {
      own.push(bottom + HEIGHT / 2);
      bottom += HEIGHT + BREAK;
    }
    const middle = mean(own);
    middles.set(service.id, middle);
    placed.push({ node: serviceNode(service, narrow), column, top: middle - HEIGHT / 2, height: HEIGHT });
  };
  services.filter((each) => !routed.has(each.id)).forEach((each) => place(each, 0));
  services.filter((each) => !middles.has(each.id)).forEach((each) => place(each, 0));

  const stack = (nodes, column) => {
    const middleOf = (id) => mean(calls.filter((call) => call.source === id && middles.has(call.target)).map((call) => middles.get(call.target)), bottom / 2);
    const wanted = nodes.map((node) => ({ node, middle: middleOf(node.id) })).sort((one, other) => one.middle - other.middle);
    let free = 0;
    wanted.forEach(({ node, middle }, index) => {
      const alike = wanted.slice(index).filter((each) => each.middle === middle).length; // which are centred together
      const top = Math.max(free, middle - (alike * (HEIGHT + BREAK) - BREAK) / 2);
      placed.push({ node, column, top, height: HEIGHT });
      middles.set(node.id, top + HEIGHT / 2);
      free = top + HEIGHT + BREAK;
    });
  };
  stack(entries, "first");
  stack(before, "before");
  return atColumns(placed, width, narrow);
}

const sum = (values) => values.reduce((one, other) => one + other, 0);

const mean = (values, otherwise) => (values.length ? sum(values) / values.length : otherwise);

function atColumns(placed, width, narrow) {
  const names = ["before", "first", ...Array(COLUMNS).keys(), "last"].filter((name) => placed.some((each) => each.column === name));
  const gap = narrow ? 18 : 56;
  const nodeWidth = Math.max(NARROWEST, Math.min(240, (width - gap * (names.length - 1)) / names.length));
  const room = Math.max(width, names.length * (nodeWidth + gap) - gap);
  const step = names.length > 1 ? (room - nodeWidth) / (names.length - 1) : 0;
  const nodes = new Map(placed.map(({ node, column, top, height }) => [node.id, { node, top, height, left: names.indexOf(column) * step }]));
  return { nodes, nodeWidth, width: room, height: Math.max(...placed.map((each) => each.top + each.height)) };
}

// -- lines -------------------------------------------------------------------------------

function lineOfCall({ source, target, requests, connections, secure = "" }) {
  const busy = requests?.[0] ?? (connections ? connections[0] + connections[1] : 0);
  return { from: source, to: target, busy, secure, level: requests ? levelOfRequests(requests) : levelOfConnections(connections) };
}

function linesToEndpoints(services, nodes) {
  return services.flatMap((service) => service.endpoints.map((each) => {
    const id = `${service.id} ${each.key}`;
    const busy = each.requests?.[0] ?? each.connections?.[0] ?? 0;
    return nodes.has(id) && {
      from: service.id, to: id, busy, secure: each.secure ? service.secure : "",
      level: each.usable ? (each.requests ? levelOfRequests(each.requests) : busy ? "good" : "idle") : "gone",
    };
  }).filter(Boolean)).concat(services.filter((each) => nodes.has(`${each.id} more`)).map(lineToOthers));
}

/** To the endpoints that have no node of their own: there is traffic where the Service has some. */
function lineToOthers(service) {
  const ready = service.endpoints.some((each) => each.usable);
  const busy = ready ? sum(service.endpoints.map((each) => each.requests?.[0] ?? each.connections?.[0] ?? 0)) : 0;
  const level = ready ? (service.requests ? levelOfRequests(service.requests) : busy ? "good" : "idle") : "gone";
  return { from: service.id, to: `${service.id} more`, busy, level, secure: service.secure };
}

function curve(from, to, nodeWidth) {
  const [x1, y1] = [from.left + nodeWidth, from.top + from.height / 2];
  const [x2, y2] = [to.left, to.top + to.height / 2];
  const bend = Math.max(12, (x2 - x1) / 2);
  return { path: `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`, x: (x1 + x2) / 2, y: (y1 + y2) / 2 };
}

function draw(places, lines, narrow) {
  const { nodes, nodeWidth, width, height } = places;
  const known = lines.filter((line) => nodes.has(line.from) && nodes.has(line.to));
  return h("div", { class: `graph${narrow ? " narrow" : ""}`, style: { height: `${height}px`, width: `${width}px` } },
    h("svg", { class: "lines", width, height, viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" },
      known.map((line) => drawLine(line, nodes.get(line.from), nodes.get(line.to), nodeWidth))),
    [...nodes.values()].map((place) => nodeAt(place, nodeWidth)));
}

function drawLine(line, from, to, nodeWidth) {
  const { path, x, y } = curve(from, to, nodeWidth);
  const thickness = (1.2 + Math.min(4, Math.log10(1 + line.busy) * 1.3)).toFixed(1);
  const pace = line.busy >= 100 ? "fast" : line.busy >= 5 ? "steady" : "slow";
  return h("g", { class: `line ${line.level}`, key: `${line.from}>${line.to}` },
    h("path", { d: path, "stroke-width": thickness }),
    line.busy > 0 && line.level !== "gone" && h("path", { class: `flow ${pace}`, d: path, "stroke-width": thickness }),
    line.secure && h("g", { class: "seal", transform: `translate(${x} ${y})` },
      h("circle", { r: 9 }), h("g", { transform: "translate(-5.4 -5.9) scale(.68)" }, icon("lock").children)));
}

function nodeAt({ node, left, top, height }, nodeWidth) {
  const style = { left: `${left}px`, top: `${top}px`, width: `${nodeWidth}px`, height: `${height}px` };
  const title = `${node.label}: ${node.title || node.text}${node.secure ? `, by ${node.secure}` : ""}`;
  return h(node.href ? "a" : "div", { class: `node ${node.kind} ${node.level}`, href: node.href, key: node.id, style, title },
    h("span", { class: "node-name" }, dot(node.level), h("span", { class: "cut" }, node.label), lock(node.secure)),
    h("span", { class: "node-text cut" }, node.text));
}
