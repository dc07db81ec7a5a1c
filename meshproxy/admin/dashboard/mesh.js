// What the sections of the feed say together: Services with their health and rates.

import { state } from "./feed.js";

const keyOf = (cluster, endpoint) => `${cluster} ${endpoint}`;
let cached = { health: null, rates: null, mesh: null, services: [] };

/** Every Service: its node, endpoints with status and rates, and what they are together. */
export function services() {
  const { health, rates, mesh } = state;
  if (cached.health === health && cached.rates === rates && cached.mesh === mesh) return cached.services;
  const known = new Map(health.map(([cluster, id, status, usable, reason, since]) => [
    keyOf(cluster, id), { status, usable, reason, since },
  ]));
  const moving = new Map((rates?.endpoints ?? []).map(([cluster, id, requests, connections]) => [
    keyOf(cluster, id), { requests, connections },
  ]));
  cached = { health, rates, mesh, services: mesh.services.map((node) => serviceOf(node, known, moving)) };
  return cached.services;
}

export const service = (id) => services().find((each) => each.id === id);

function serviceOf(node, known, moving) {
  const endpoints = node.clusters.flatMap((cluster) =>
    cluster.endpoints.map((endpoint) => endpointOf(endpoint, cluster, known, moving)),
  );
  const addresses = new Set(endpoints.map((each) => each.id));
  const ready = new Set(endpoints.filter((each) => each.usable && each.weight).map((each) => each.id));
  const requests = state.rates?.services[node.id] ?? null;
  const connections = state.rates?.serviceConnections[node.id] ?? null;
  return {
    ...node, endpoints, requests, connections,
    total: addresses.size, ready: ready.size,
    level: levelOf(node, requests, ready.size, addresses.size),
  };
}

function endpointOf(endpoint, cluster, known, moving) {
  const health = known.get(keyOf(cluster.name, endpoint.id)) ?? { status: "Unknown", usable: true, reason: "", since: 0 };
  const own = endpoint.ready ? health : { status: "NotReady", usable: false, reason: "not ready by its conditions", since: 0 };
  const { requests = null, connections = null } = moving.get(keyOf(cluster.name, endpoint.id)) ?? {};
  return {
    ...endpoint, ...own, requests, connections,
    key: keyOf(cluster.name, endpoint.id), cluster: cluster.name, port: cluster.port, transport: cluster.transport,
    age: own.since && state.rates ? state.rates.now - own.since : null,
  };
}

/** good, warn, bad, or idle where there is nothing to judge by. */
export function levelOf(node, requests, ready, total) {
  if (total && !ready) return "bad";
  const byTraffic = levelOfRequests(requests);
  if (byTraffic === "bad") return "bad";
  if (ready < total || (!total && !needsNoEndpoints(node))) return "warn";
  return byTraffic === "idle" ? (total ? "good" : "idle") : byTraffic;
}

/** Whether it is right for a Service to have none: its name leads elsewhere, or its routes do. */
const needsNoEndpoints = (node) => node.type === "ExternalName" || state.mesh.calls.some(([source]) => source === node.id);

/** "2/3 ready", or why there is nothing that could be. */
export function readiness(service) {
  if (service.total) return `${service.ready}/${service.total} ready`;
  if (service.type === "ExternalName") return "a name elsewhere";
  return needsNoEndpoints(service) ? "by its routes" : "no endpoints";
}

export function levelOfRequests(requests) {
  if (!requests) return "idle";
  const success = requests[1];
  if (success < 0.95) return "bad";
  return success < 0.995 ? "warn" : "good";
}

export function levelOfEndpoint(endpoint) {
  if (!endpoint.usable) return endpoint.status === "NotReady" ? "warn" : "bad";
  if (endpoint.requests) return levelOfRequests(endpoint.requests);
  return endpoint.status === "Healthy" ? "good" : "idle";
}

/** How an entry, or a Service, is called on the page. */
export function labelOf(id) {
  if (id === "Clients") return "Local clients";
  if (id.startsWith("inbound/")) return `${shortName(id.slice("inbound/".length))} (here)`;
  return shortName(id.replace(/^Gateway\//, ""));
}

/** Without the namespace, where that is this proxy's own. */
function shortName(id) {
  const own = `${state.status?.namespace ?? "default"}/`;
  return id.startsWith(own) ? id.slice(own.length) : id;
}

/** The Service that a recent request went to, by its cluster. */
export function serviceOfCluster(cluster) {
  if (cluster.startsWith("inbound/")) return cluster;
  return cluster.slice(0, cluster.lastIndexOf(":")) || "";
}

export const HERE = "this machine"; // the id of callers on loopback

/** Whether an entry is a thing of its own that callers come in by, and not just an address of whom they call. */
export const isEdge = (id) => id.startsWith("Gateway/") || id === "Ingress";

/** Lists by key, in the order that they come in. */
export function groupBy(rows, keyOf) {
  const groups = new Map();
  for (const row of rows) groups.set(keyOf(row), [...(groups.get(keyOf(row)) ?? []), row]);
  return groups;
}

/** Who calls whom: the entry it comes in by, its name, and what it does; without a name it is all others together. */
export function callers() {
  return (state.rates?.callers ?? []).filter(([call]) => call in state.mesh.calls).map(([call, id, name, secure, requests, connections]) => {
    const [source, target] = state.mesh.calls[call];
    return { key: `${call} ${id}`, source, target, id, name: name || "others", secure, requests, connections };
  });
}

/** Services whose routes lead to others, as callers of these. */
export function routed() {
  const ids = new Set(state.mesh.services.map((each) => each.id));
  return state.mesh.calls.map(([source, target], index) => ({
    key: `${source}>${target}`, source, target, id: source, name: `routes of ${labelOf(source)}`, secure: "",
    requests: state.rates?.calls[index] ?? null, connections: null,
  })).filter((row) => row.requests && ids.has(row.source));
}

/** What several callers do together. Latencies cannot be summed: the longest are told. */
export function together(rows) {
  const requests = rows.map((row) => row.requests).filter(Boolean);
  const connections = rows.map((row) => row.connections).filter(Boolean);
  const rate = requests.reduce((sum, each) => sum + each[0], 0);
  const longest = (index) => Math.max(...requests.map((each) => each[index]));
  return {
    requests: requests.length ? [rate, requests.reduce((sum, each) => sum + each[0] * each[1], 0) / rate, longest(2), longest(3)] : null,
    connections: connections.length ? connections.reduce((sum, each) => sum.map((value, index) => value + each[index])) : null,
  };
}

/** Of connections it is bad where each fails, and worth a look where some do. */
export function levelOfConnections(connections) {
  if (!connections) return "idle";
  const [active, opened, failed] = connections;
  if (failed) return active || opened ? "warn" : "bad";
  return "good";
}

/** What needs somebody's attention: [level, text, where on the page]. */
export function problems() {
  const { status, certificates, diagnostics } = state;
  if (!status) return [];
  const found = [];
  if (!status.ready) found.push(["bad", `not ready: ${status.reason}`, "#/configuration"]);
  if (status.config.rejection) found.push(["bad", "a configuration was refused; the last good one is in force", "#/configuration"]);
  const errors = diagnostics.filter((each) => each.severity !== "warning").length;
  if (errors) found.push(["bad", `${errors} ${errors === 1 ? "error" : "errors"} in the manifests`, "#/configuration"]);
  for (const each of status.workers.filter((worker) => worker.state !== "ready")) {
    found.push(["warn", `worker ${each.id} is ${each.state}`, "#/configuration"]);
  }
  for (const [name, why] of Object.entries(status.failedListeners)) found.push(["bad", `${name}: ${why}`, "#/configuration"]);
  for (const each of status.sources.filter((source) => source.problem)) {
    found.push(["bad", `source ${each.name}: ${each.problem}`, "#/sources"]);
  }
  for (const each of status.registrations.filter((own) => own.problem)) {
    found.push(["warn", `registration ${each.id}: ${each.problem}`, "#/sources"]);
  }
  for (const part of ["identity", "dns"]) {
    if (status[part]) found.push(["bad", `${part === "dns" ? "DNS" : part}: ${status[part]}`, "#/sources"]);
  }
  for (const each of status.exports.filter((signal) => signal.problem)) {
    found.push(["warn", `${each.signal} to ${each.endpoint}: ${each.problem}`, "#/sources"]);
  }
  for (const each of certificates.filter((certificate) => certificate.state !== "Valid")) {
    found.push([each.state === "ExpiresSoon" ? "warn" : "bad", `certificate ${each.name} ${STATES[each.state]}`, "#/certificates"]);
  }
  return [...found, ...problemsOfServices()].sort((one, other) => (one[0] === "bad" ? 0 : 1) - (other[0] === "bad" ? 0 : 1));
}

/** The states of certificates, in words. */
export const STATES = { Valid: "is valid", ExpiresSoon: "expires soon", Expired: "has expired", NotYetValid: "is not valid yet" };

function problemsOfServices() {
  const found = [];
  for (const each of services()) {
    const link = `#/services/${encodeURIComponent(each.id)}`;
    if (each.total && !each.ready) found.push(["bad", `${labelOf(each.id)} has no endpoint that is ready`, link]);
    else if (!each.total && !needsNoEndpoints(each)) found.push(["warn", `${labelOf(each.id)} has no endpoints`, link]);
    else if (each.ready < each.total) found.push(["warn", `${labelOf(each.id)}: ${each.ready} of ${each.total} endpoints are ready`, link]);
    if (levelOfRequests(each.requests) === "bad") found.push(["bad", `${labelOf(each.id)}: many requests fail`, link]);
  }
  return found;
}
