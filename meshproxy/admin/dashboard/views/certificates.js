// Certificates in force, the one that ends first on top.

import { h } from "../dom.js";
import { state } from "../feed.js";
import * as format from "../format.js";
import { STATES } from "../mesh.js";
import { chip, dot, empty, panel, table } from "../parts.js";

const LEVELS = { Valid: "good", ExpiresSoon: "warn", Expired: "bad", NotYetValid: "bad" };

export function certificates(onChange) {
  if (!state.certificates.length) return empty("No certificates", "None is configured: no identity, and no TLS at a Gateway or to endpoints.");
  return panel("", table("certificates", COLUMNS, state.certificates, {
    key: (row) => `${row.kind} ${row.issuer} ${row.serial}`, onChange, sort: "Expires",
  }));
}

const left = (row) => row.notAfter - Date.now() / 1000;

const COLUMNS = [
  { head: "Certificate", cell: (row) => [dot(LEVELS[row.state]), h("span", { class: "mono" }, row.name), otherNames(row)], by: (row) => row.name, wide: true },
  { head: "Kind", cell: (row) => row.kind, by: (row) => row.kind },
  { head: "State", cell: (row) => chip(STATES[row.state], LEVELS[row.state]), by: (row) => row.state },
  { head: "Expires", cell: expiryOf, by: (row) => row.notAfter },
  { head: "Issuer", cell: (row) => row.issuer, by: (row) => row.issuer, minor: true },
  { head: "Serial", cell: (row) => h("span", { class: "mono" }, row.serial.slice(0, 16)), minor: true },
];

function otherNames(row) {
  const names = row.names.filter((each) => each !== row.name);
  return names.length > 0 && h("div", { class: "hint" }, names.join(", "));
}

function expiryOf(row) {
  const spent = Math.min(1, Math.max(0, 1 - left(row) / (row.notAfter - row.notBefore)));
  const text = left(row) > 0 ? `in ${format.age(left(row))}` : `${format.age(-left(row))} ago`;
  return h("div", { class: "expiry" }, h("span", null, text), h("span", { class: "hint" }, format.date(row.notAfter)),
    h("div", { class: `life ${LEVELS[row.state]}`, role: "img", "aria-label": `${format.share(spent)} of its life is over` },
      h("span", { style: { width: `${(spent * 100).toFixed(1)}%` } })));
}
