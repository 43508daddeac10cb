// The page of API docs. It reads openapi.json beside it and nothing else, so it
// works offline and under any prefix. The token stays in its input: it is
// neither stored nor put into an address.
"use strict";

const $ = (id) => document.getElementById(id);

// el makes an element. Texts become text nodes, never markup.
function el(tag, attrs, ...children) {
  const e = document.createElement(tag);
  for (const [k, v] of Object.entries(attrs || {})) {
    if (k.startsWith("on")) e.addEventListener(k.slice(2), v);
    else if (v === true) e.setAttribute(k, "");
    else if (v !== undefined && v !== null && v !== false) e.setAttribute(k, v);
  }
  e.append(...children.flat(Infinity).filter((c) => c !== undefined && c !== null && c !== ""));
  return e;
}

const link = (o) => el("a", { href: "#" + o.id }, o.id);

const base = new URL(".", location.href).href.replace(/\/$/, "");
let doc = null;
let operations = [];

const find = (id) => operations.find((o) => o.id === id);

function resolve(x) {
  for (let i = 0; x && x.$ref && i < 20; i++) {
    if (!x.$ref.startsWith("#/")) return {};
    x = x.$ref.slice(2).split("/").reduce(
      (o, k) => o && o[k.replace(/~1/g, "/").replace(/~0/g, "~")], doc);
  }
  return x || {};
}

function typeName(schema) {
  const s = resolve(schema);
  if (s.const !== undefined) return JSON.stringify(s.const);
  if (s.type === "array" || s.items) return "array of " + typeName(s.items || {});
  const type = [].concat(s.type || (s.properties ? "object" : "any")).join(" or ");
  return s.format ? `${type} (${s.format})` : type;
}

// limits says in words what a schema asks for.
function limits(s) {
  const out = [];
  if (s.enum) out.push("one of " + s.enum.map((v) => JSON.stringify(v)).join(", "));
  const words = {
    minimum: "at least", maximum: "at most", exclusiveMinimum: "more than", exclusiveMaximum: "less than",
    minLength: "length from", maxLength: "length to", minItems: "items from", maxItems: "items to",
    pattern: "pattern", default: "default",
  };
  for (const [k, w] of Object.entries(words)) if (s[k] !== undefined) out.push(`${w} ${typeof s[k] === "object" ? JSON.stringify(s[k]) : s[k]}`);
  return out.join("; ");
}

// fields shows a schema; seen holds the references above it, which may return.
function fields(schema, seen) {
  seen = seen || [];
  const ref = schema && schema.$ref;
  if (ref && seen.includes(ref)) return el("p", { class: "quiet" }, "as above: " + ref.split("/").pop());
  const inner = ref ? seen.concat(ref) : seen;
  const s = resolve(schema);
  const variants = s.oneOf || s.anyOf || s.allOf;
  if (variants) {
    const word = s.oneOf ? "one of" : s.anyOf ? "any of" : "all of";
    return el("div", {}, el("p", { class: "quiet" }, word), variants.map((v) => fields(v, inner)));
  }
  if (s.items) return fields(s.items, inner);
  if (!s.properties) {
    const more = s.additionalProperties;
    if (more && typeof more === "object" && resolve(more).properties) return el("div", {}, el("p", { class: "quiet" }, "values by name:"), fields(more, inner));
    return el("p", { class: "quiet" }, [typeName(s), s.description, limits(s)].filter(Boolean).join(" · "));
  }
  const list = el("dl", { class: "fields" });
  for (const [name, p] of Object.entries(s.properties)) {
    const v = resolve(p);
    const deep = resolve(v.items || v);
    const nested = deep.properties || deep.oneOf || deep.anyOf || deep.allOf;
    list.append(
      el("dt", {}, el("code", {}, name), " ", el("span", { class: "type" }, typeName(p)), " ",
        (s.required || []).includes(name) ? el("span", { class: "required" }, "required") : ""),
      el("dd", {}, [p.description || v.description, limits(v)].filter(Boolean).join(" · "),
        nested ? el("details", {}, el("summary", {}, "fields"), fields(p, inner)) : ""));
  }
  return list;
}

// example makes a value that a schema might take.
function example(schema, depth) {
  if (schema.examples && schema.examples.length) return schema.examples[0]; // beside a $ref
  const s = resolve(schema);
  if (s.examples && s.examples.length) return s.examples[0];
  for (const k of ["example", "default", "const"]) if (s[k] !== undefined) return s[k];
  if (s.enum) return s.enum[0];
  if (depth > 5) return null;
  const variant = s.oneOf || s.anyOf;
  if (variant) return example(variant[0], depth + 1);
  if (s.allOf) return Object.assign({}, ...s.allOf.map((v) => example(v, depth + 1)));
  switch ([].concat(s.type || (s.properties ? "object" : "any"))[0]) {
    case "object": {
      // What must be there and what has an example; where neither is, all of it.
      const all = Object.entries(s.properties || {}).filter(([, v]) => !resolve(v).readOnly);
      const some = all.filter(([k, v]) => (s.required || []).includes(k) || (v.examples || []).length);
      return Object.fromEntries((some.length ? some : all).map(([k, v]) => [k, example(v, depth + 1)]));
    }
    case "array": return [example(s.items || {}, depth + 1)];
    case "integer": case "number": return s.minimum || 0;
    case "boolean": return false;
    case "string":
      return { "date-time": "2026-01-31T12:00:00Z", date: "2026-01-31", email: "you@example.com", uri: "/" }[s.format] || "string";
    default: return {};
  }
}

const bodyOf = (op) => {
  const body = resolve(op.requestBody);
  const types = Object.keys(body.content || {});
  if (!types.length) return null;
  const type = types.find((t) => t.includes("json")) || types[0];
  return { type, types, content: body.content };
};

// sample is a body of the media type, as text.
const sample = (media) => pretty(media.example !== undefined ? media.example : example(media.schema || {}, 0));

const params = (op) => (op.parameters || []).map(resolve);
const pretty = (v) => (typeof v === "string" ? v : JSON.stringify(v, null, 2));
const quote = (s) => "'" + s.replace(/'/g, "'\\''") + "'";

function curl(o) {
  const body = bodyOf(o.op);
  const parts = [`curl -X ${o.method} ${quote(base + o.path)}`];
  if (o.op.security) parts.push(`-H "Authorization: Bearer $TOKEN"`);
  if (body) parts.push(`-H ${quote("Content-Type: " + body.type)}`, `--data-binary ${quote(sample(body.content[body.type]))}`);
  return parts.join(" \\\n  ");
}

// tryIt is the form that sends the operation.
function tryIt(o) {
  const inputs = [];
  const form = el("form", {});
  for (const p of params(o.op)) {
    if (p.in === "cookie") continue;
    const id = `p-${p.in}-${p.name}`;
    const schema = resolve(p.schema);
    const input = schema.enum && schema.enum.length
      ? el("select", { id }, el("option", { value: "" }, ""), schema.enum.map((v) => el("option", { value: v }, String(v))))
      : el("input", { id, autocomplete: "off", spellcheck: "false", required: p.in === "path" });
    inputs.push({ p, input });
    form.append(el("label", { for: id }, `${p.name} `, el("span", { class: "type" }, `${p.in}${p.required ? ", required" : ""}`)), input);
  }
  const body = bodyOf(o.op);
  let text, type;
  if (body) {
    type = el("select", { id: "body-type" }, body.types.map((t) => el("option", { value: t, selected: t === body.type }, t)));
    text = el("textarea", { id: "body", spellcheck: "false" });
    text.value = sample(body.content[body.type]);
    let untouched = text.value;
    type.addEventListener("change", () => {
      if (text.value === untouched) text.value = untouched = sample(body.content[type.value]);
    });
    form.append(el("label", { for: "body-type" }, "Content-Type"), type, el("label", { for: "body" }, "Body"), text);
  }
  const out = el("div", { role: "status" });
  const send = el("button", { type: "submit" }, "Send");
  form.append(el("div", { class: "row" }, send), out);

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    let path = o.path;
    const query = new URLSearchParams();
    const headers = {};
    for (const { p, input } of inputs) {
      if (input.value === "") continue;
      if (p.in === "path") path = path.replace(`{${p.name}}`, encodeURIComponent(input.value));
      else if (p.in === "query") query.append(p.name, input.value);
      else headers[p.name] = input.value;
    }
    const token = $("token").value.trim();
    if (token && o.op.security) headers.Authorization = "Bearer " + token;
    const init = { method: o.method, headers, credentials: "omit", cache: "no-store" };
    if (text && text.value !== "") {
      headers["Content-Type"] = type.value;
      init.body = text.value;
    }
    send.disabled = true;
    out.replaceChildren(el("p", { class: "quiet" }, "Sending…"));
    const start = performance.now();
    try {
      const search = query.toString();
      const answer = await fetch(base + path + (search ? "?" + search : ""), init);
      const raw = await answer.text();
      const took = Math.round(performance.now() - start);
      let shown = raw;
      try { shown = JSON.stringify(JSON.parse(raw), null, 2); } catch { /* it is no JSON: shown as it is */ }
      if (shown.length > 100000) shown = shown.slice(0, 100000) + "\n… cut here";
      out.replaceChildren(
        el("p", { class: answer.ok ? "good" : "bad" }, `${answer.status} ${answer.statusText} · ${took} ms`),
        el("details", {}, el("summary", {}, "Headers"), el("pre", { class: "wrap", tabindex: "0" }, [...answer.headers].map(([k, v]) => `${k}: ${v}`).join("\n"))),
        shown ? el("pre", { tabindex: "0" }, shown) : el("p", { class: "quiet" }, "no body"));
    } catch (err) {
      out.replaceChildren(el("p", { class: "bad" }, "No answer: " + err.message));
    } finally {
      send.disabled = false;
    }
  });
  return form;
}

function access(op) {
  if (op["x-permission"]) return ["needs the permission ", el("code", {}, op["x-permission"])];
  return op.security ? ["needs a credential"] : ["public"];
}

function content(media) {
  return Object.entries(media || {}).map(([type, m]) =>
    el("div", {}, el("p", { class: "type" }, type), m.schema ? fields(m.schema) : ""));
}

function show(o) {
  const op = o.op;
  const body = bodyOf(op);
  const list = params(op);
  const copy = el("button", { type: "button", class: "plain", onclick: async () => {
    await navigator.clipboard.writeText(curl(o));
    copy.textContent = "Copied";
  } }, "Copy");
  $("main").replaceChildren(
    el("h2", {}, op.summary || o.id),
    el("p", {}, el("span", { class: "tag" }, o.id), el("span", { class: "tag" }, ...access(op))),
    el("p", { class: "path" }, el("strong", {}, o.method), " ", o.path),
    ...(op.description || "").split("\n\n").filter(Boolean).map((p) => el("p", {}, p)),
    ...(list.length ? [el("h3", {}, "Parameters"), el("dl", { class: "fields" }, list.map((p) => [
      el("dt", {}, el("code", {}, p.name), " ", el("span", { class: "type" }, `${p.in}, ${typeName(p.schema || {})}`), " ",
        p.required ? el("span", { class: "required" }, "required") : ""),
      el("dd", {}, [p.description, limits(resolve(p.schema))].filter(Boolean).join(" · ")),
    ]))] : []),
    ...(body ? [el("h3", {}, "Request body"), ...content(body.content)] : []),
    el("h3", {}, "Responses"),
    ...Object.entries(op.responses || {}).map(([status, r]) => {
      const answer = resolve(r);
      return el("details", { open: status.startsWith("2") },
        el("summary", {}, el("strong", {}, status), " ", answer.description || ""),
        Object.entries(answer.headers || {}).map(([k, h]) => el("p", { class: "quiet" }, `${k}: ${resolve(h).description || ""}`)),
        content(answer.content));
    }),
    el("h3", {}, "Example"), el("pre", { tabindex: "0" }, curl(o)), navigator.clipboard ? copy : "",
    el("h3", {}, "Try it"), tryIt(o));
  document.title = `${o.id} · ${doc.info.title}`;
}

// byTag puts operations in groups, in their order.
function byTag(list) {
  const tags = new Map();
  for (const o of list) {
    if (!tags.has(o.tag)) tags.set(o.tag, []);
    tags.get(o.tag).push(o);
  }
  return [...tags];
}

// authentication tells how a credential is got, where an operation gives one,
// and how it is sent.
function authentication() {
  const schemes = Object.values((doc.components || {}).securitySchemes || {}).map(resolve)
    .sort((a, b) => (b.type === "http") - (a.type === "http"));
  const closed = operations.filter((o) => o.op.security && o.method === "GET" && !o.path.includes("{"))
    .sort((a, b) => a.path.length - b.path.length)[0];
  if (!schemes.length || !closed) return [];
  const first = ["auth.signup", "auth.login"].map(find).filter(Boolean);
  return [
    el("h3", {}, "Authentication"),
    first.length ? el("p", {}, "For a token, call ", first.flatMap((o, i) => [i ? " or " : "", link(o)]),
      ". Pasted into the field at the top of this page, it goes with what is tried here; it is forgotten when the page is left.") : "",
    el("p", {}, "Send the credential with every request that is not public:"),
    el("pre", { tabindex: "0" }, schemes.map((s) => {
      const header = s.type === "apiKey" ? `${s.name}: $KEY` : "Authorization: Bearer $TOKEN";
      return `curl ${quote(base + closed.path)} -H "${header}"`;
    }).join("\n")),
  ];
}

// overview is what one sees first.
function overview() {
  $("main").replaceChildren(
    el("h2", {}, "Overview"),
    el("p", {}, doc.info.description || "", ` ${operations.length} operations, described in `,
      el("a", { href: "openapi.json" }, "openapi.json"), ` (OpenAPI ${doc.openapi}), which generators of clients read.`),
    ...authentication(),
    ...byTag(operations).flatMap(([tag, ops]) => [
      el("h3", {}, tag, " ", el("span", { class: "quiet" }, ops.length === 1 ? "1 operation" : `${ops.length} operations`)),
      el("ul", { class: "toc" }, ops.map((o) => el("li", {},
        el("a", { href: "#" + o.id }, o.op.summary || o.id), " ", el("code", {}, `${o.method} ${o.path}`)))),
    ]));
  document.title = doc.info.title;
}

// list shows the operations that hold all words of the search.
function list() {
  const words = $("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  const found = operations.filter((o) => words.every((w) => o.text.includes(w)));
  $("found").textContent = words.length ? `${found.length} of ${operations.length}` : `${operations.length} operations`;
  const now = location.hash.slice(1);
  $("operations").replaceChildren(...byTag(found).map(([tag, ops]) => el("section", {}, el("h2", {}, tag),
    el("ul", {}, ops.map((o) => el("li", {},
      el("a", { href: "#" + o.id, title: o.path, "aria-current": o.id === now ? "page" : undefined },
        el("span", { class: "method" }, o.method), o.id)))))));
}

function navigate(event) {
  const id = location.hash.slice(1);
  const o = find(id);
  if (o) show(o);
  else if (!event || id === "") overview();
  else return; // a place within the page
  list();
  const current = document.querySelector("nav [aria-current]");
  if (current) current.scrollIntoView({ block: "nearest" });
  if (!event) {
    scrollTo(0, 0);
    return;
  }
  $("main").focus({ preventScroll: true });
  // On a narrow screen the list stands above and not beside.
  const beside = getComputedStyle(document.querySelector("nav")).position === "sticky";
  scrollTo(0, beside ? 0 : $("main").offsetTop);
}

// walk moves by arrow keys from the search to what was found and along it, and
// opens the first of it by the enter key.
function walk(event) {
  const stops = [$("search"), ...event.currentTarget.querySelectorAll("a")];
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  const next = stops[stops.indexOf(event.target) + (step || 1)];
  if (event.altKey || event.ctrlKey || event.metaKey || event.isComposing || !next) return;
  if (step) next.focus();
  else if (event.key === "Enter" && event.target === $("search")) next.click();
  else return;
  event.preventDefault();
}

async function start() {
  try {
    const answer = await fetch("openapi.json", { credentials: "omit" });
    if (!answer.ok) throw new Error("status " + answer.status);
    doc = await answer.json();
  } catch (err) {
    $("notice").textContent = "The document could not be loaded: " + err.message;
    return;
  }
  const order = (doc.tags || []).map((t) => t.name);
  for (const [path, item] of Object.entries(doc.paths || {})) {
    for (const method of ["get", "post", "put", "patch", "delete", "head"]) {
      const op = item[method];
      if (!op) continue;
      const id = op.operationId, tag = (op.tags || ["other"])[0];
      operations.push({ id, tag, path, method: method.toUpperCase(), op,
        text: [id, tag, method, path, op.summary, op["x-permission"]].join(" ").toLowerCase() });
    }
  }
  // The gateway's own operations come last.
  const rank = (t) => (t === order[0] ? order.length : order.indexOf(t) < 0 ? order.length - 1 : order.indexOf(t));
  operations.sort((a, b) => rank(a.tag) - rank(b.tag) || a.id.localeCompare(b.id));
  $("title").textContent = document.title = doc.info.title;
  $("version").textContent = "version " + doc.info.version;
  $("search").addEventListener("input", list);
  document.querySelector("nav").addEventListener("keydown", walk);
  addEventListener("hashchange", navigate);
  addEventListener("keydown", (event) => {
    if (event.key === "/" && !/^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName)) {
      event.preventDefault();
      $("search").focus();
    }
  });
  navigate();
}

start();
