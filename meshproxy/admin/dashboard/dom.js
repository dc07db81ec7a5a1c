// A page as a function of its data: `h` describes elements, `render` changes the document to what is described, and
// nothing else in it. Whatever comes from data becomes text or an attribute, never markup.

const SVG = "http://www.w3.org/2000/svg";

/** Describe an element. Children are elements, strings, numbers, lists of these, or nothing (null, false). */
export function h(tag, props, ...children) {
  return { tag, props: props ?? {}, key: props?.key, children: children.flat(Infinity).filter(isSomething) };
}

const isSomething = (child) => child !== null && child !== undefined && child !== false && child !== "";

/** Make `parent`'s children what is described. Elements with the same `key` stay the same elements, and keep the focus. */
export function render(parent, ...children) {
  const active = document.activeElement;
  reconcile(parent, children.flat(Infinity).filter(isSomething));
  if (active && active !== document.activeElement && active.isConnected) active.focus({ preventScroll: true });
}

function reconcile(parent, wanted) {
  const keyed = new Map();
  for (const node of parent.childNodes) {
    if (node.described?.key !== undefined) keyed.set(node.described.key, node);
  }
  let next = parent.firstChild;
  for (const want of wanted) {
    const found = want.key === undefined ? next : keyed.get(want.key);
    const node = found && fits(found, want) ? found : create(want, parent);
    keyed.delete(want.key); // of two with the same key, each is an element of its own
    update(node, want);
    if (node === next) next = next.nextSibling;
    else parent.insertBefore(node, next);
  }
  while (next) {
    const gone = next;
    next = next.nextSibling;
    gone.remove();
  }
}

function fits(node, want) {
  if (typeof want !== "object") return node.nodeType === Node.TEXT_NODE;
  return node.described?.tag === want.tag && node.described.key === want.key;
}

function create(want, parent) {
  if (typeof want !== "object") return document.createTextNode("");
  const isSvg = want.tag === "svg" || (parent.namespaceURI === SVG && parent.localName !== "foreignObject");
  return isSvg ? document.createElementNS(SVG, want.tag) : document.createElement(want.tag);
}

function update(node, want) {
  if (typeof want !== "object") {
    const text = String(want);
    if (node.nodeValue !== text) node.nodeValue = text;
    return;
  }
  const before = node.described?.props ?? {};
  node.described = want;
  for (const name of Object.keys(before)) {
    if (!(name in want.props)) setProp(node, name, null, before[name]);
  }
  for (const [name, value] of Object.entries(want.props)) {
    if (before[name] !== value || name === "style") setProp(node, name, value, before[name]);
  }
  reconcile(node, want.children);
}

function setProp(node, name, value, before) {
  if (name === "key") return;
  if (name.startsWith("on")) {
    const event = name.slice(2).toLowerCase();
    if (before) node.removeEventListener(event, before);
    if (value) node.addEventListener(event, value);
  } else if (name === "style") {
    for (const [property, text] of Object.entries(value ?? {})) {
      if (before?.[property] !== text) node.style.setProperty(property, text);
    }
  } else if (name === "value") {
    if (node !== document.activeElement) node.value = value ?? "";
  } else if (name === "href" && value && !value.startsWith("#")) {
    throw new Error(`a link that leaves the page: ${value}`);
  } else if (value === null || value === undefined || value === false) {
    node.removeAttribute(name);
  } else {
    node.setAttribute(name, value === true ? "" : String(value));
  }
}
