// The routing tree, and the trial of a payload.
import { ask, byId, make, put, sentence } from "./parts.js";

const EXAMPLE = '{"title": "port-down on node-101", "severity": "critical", "status": "firing", "key": "p1"}'; // of the format relay

/** Draw the rooms of a route; mark those that get a message through it. */
const rooms = (names, got) => make("span", { class: "chips" }, ...(names.length ? names : ["nobody"]).map((name) =>
  make("span", { class: got.has(name) ? "chip good" : "chip" }, got.has(name) ? `✓ ${name}` : name)));

function node(route, steps, deliveries) {
  const step = steps?.get(route.path);
  const lit = step === undefined ? "" : step.matched ? " lit" : " out";
  const got = new Set(deliveries.filter((one) => one.route === route.path).map((one) => one.room));
  const settings = [
    route.continue ? "continue" : "",
    route.group_by ? `group_by ${route.group_by.join(", ") || "[]"}` : "",
    route.template ? `template ${route.template}` : "",
    route.muted_in.length ? `muted in ${route.muted_in.join(", ")}` : "",
    route.active_in.length ? `active in ${route.active_in.join(", ")}` : "",
  ].filter(Boolean).join(" · ");
  const drawn = make("div", { class: `node${lit}`, title: route.path },
    make("code", {}, route.matchers.join(", ") || "everything"), make("span", { "aria-hidden": "true" }, "→"), rooms(route.rooms, got),
    settings && make("span", { class: "dim" }, settings),
    step && make("span", { class: "why" }, `${step.matched ? "✓ matches" : "✗ no match"}: ${step.why}`));
  const item = make("li", {}, drawn);
  if (route.routes.length) item.append(make("ul", {}, ...route.routes.map((child) => node(child, steps, deliveries))));
  return item;
}

let tree = null;
let explained = [];
let tried = null; // the last trial, repeated when the routes change

function draw(shown = 0) {
  if (!tree) return;
  const one = explained[shown];
  put(byId("tree"), [node(tree, one && new Map(one.routes.map((step) => [step.path, step])), one?.deliveries ?? [])]);
}

function trail(one, place) {
  const silent = one.suppressed ? `no message: ${sentence(one.suppressed)}${one.dropped ? ` (${one.dropped})` : ""}` : one.deliveries.length ? "" : "no message";
  return make("article", {},
    make("p", {}, make("strong", { class: one.event.severity }, one.event.severity.toUpperCase()), ` ${one.event.status} · ${one.event.title}`),
    make("p", { class: "dim" }, `key ${one.event.key}`),
    silent && make("p", { class: "warn" }, silent),
    ...one.template_failures.map((failure) => make("p", { class: "bad" }, failure)),
    ...one.deliveries.map((delivery) => make("div", {},
      make("p", {}, `${delivery.action} to `, make("strong", {}, delivery.room), ` by ${delivery.route}`),
      make("pre", { tabIndex: 0, "aria-label": `Message for ${delivery.room}` }, delivery.markdown))),
    explained.length > 1 ? make("button", { type: "button", onclick: () => draw(place) }, "Show its path in the tree") : null);
}

async function explain() {
  const result = byId("try-result");
  try {
    explained = tried ? await ask("POST", "/api/v1/explain", tried) : [];
    const nothing = tried ? [make("p", {}, "This payload makes no event.")] : [];
    result.replaceChildren(...(explained.length ? explained.map(trail) : nothing));
  } catch (error) {
    explained = [];
    result.replaceChildren(make("p", { class: "trouble" }, error.message));
  }
  draw();
}

/** Try the payload in the form. */
function tryIt(event) {
  event.preventDefault();
  const text = byId("try-payload").value;
  tried = { source: byId("try-source").value };
  try { tried.payload = JSON.parse(text); } catch { tried.text = text; }
  explain();
}

export async function showRoutes() {
  const [sources, routes] = await Promise.all([ask("GET", "/api/v1/sources"), ask("GET", "/api/v1/routes")]);
  const select = byId("try-source");
  const chosen = select.value;
  put(select, sources.map((one) => make("option", { key: one.source, value: one.source }, `${one.source} (${one.format})`)));
  const native = sources.find((one) => one.format === "relay")?.source;
  select.value = sources.some((one) => one.source === chosen) ? chosen : native ?? sources[0]?.source ?? "";
  if (!chosen && native) byId("try-payload").value = EXAMPLE;
  tree = routes;
  draw();
  if (tried) await explain();
}

byId("try").addEventListener("submit", tryIt);
byId("try-clear").addEventListener("click", () => { tried = null; byId("try-payload").value = ""; explain(); });
