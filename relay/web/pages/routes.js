// The routing tree, and a payload tried on it.
import { ask, byId, make, put } from "./parts.js";

const rooms = (names) => make("span", { class: "chips" }, ...names.map((name) => make("span", { class: "chip" }, name)));

function node(route, steps) {
  const step = steps?.get(route.path);
  const lit = step === undefined ? "" : step.matched ? " lit" : " out";
  const said = [
    route.continue ? "continue" : "",
    route.group_by ? `group_by ${route.group_by.join(", ") || "[]"}` : "",
    route.template ? `template ${route.template}` : "",
    route.muted_in.length ? `muted in ${route.muted_in.join(", ")}` : "",
    route.active_in.length ? `active in ${route.active_in.join(", ")}` : "",
  ].filter(Boolean).join(" · ");
  const drawn = make("div", { class: `node${lit}`, title: route.path },
    make("code", {}, route.matchers.join(", ") || "everything"), make("span", { "aria-hidden": "true" }, "→"), rooms(route.rooms),
    said && make("span", { class: "dim" }, said),
    step && make("span", { class: "why" }, `${step.matched ? "✓ matches" : "✗ no match"}: ${step.why}`));
  const item = make("li", {}, drawn);
  if (route.routes.length) item.append(make("ul", {}, ...route.routes.map((child) => node(child, steps))));
  return item;
}

let tree = null;
let explained = [];

function draw(shown = 0) {
  if (!tree) return;
  const steps = explained[shown] && new Map(explained[shown].routes.map((step) => [step.path, step]));
  put(byId("tree"), [node(tree, steps)]);
}

function trail(one, place) {
  const said = one.suppressed ? `no message: ${one.suppressed}` : one.deliveries.length ? "" : "no message";
  return make("article", {},
    make("p", {}, make("strong", { class: one.event.severity }, one.event.severity.toUpperCase()), ` ${one.event.status} · ${one.event.title}`),
    make("p", { class: "dim" }, `key ${one.event.key}`),
    said && make("p", { class: "warn" }, said),
    ...one.template_failures.map((failure) => make("p", { class: "bad" }, failure)),
    ...one.deliveries.map((delivery) => make("div", {},
      make("p", {}, `${delivery.action} to `, make("strong", {}, delivery.room), ` by ${delivery.route}`),
      make("pre", { tabIndex: 0, "aria-label": `Message for ${delivery.room}` }, delivery.markdown))),
    explained.length > 1 ? make("button", { type: "button", onclick: () => draw(place) }, "Show its way in the tree") : null);
}

async function tryIt(event) {
  event.preventDefault();
  const result = byId("try-result");
  const text = byId("try-payload").value;
  const body = { source: byId("try-source").value };
  try { body.payload = JSON.parse(text); } catch { body.text = text; }
  try {
    explained = await ask("POST", "/api/v1/explain", body);
    result.replaceChildren(...(explained.length ? explained.map(trail) : [make("p", {}, "No event comes of this payload.")]));
  } catch (error) {
    explained = [];
    result.replaceChildren(make("p", { class: "trouble" }, error.message));
  }
  draw();
}

export async function showRoutes(sources) {
  put(byId("try-source"), sources.map((name) => make("option", { value: name }, name)));
  tree = await ask("GET", "/api/v1/routes");
  explained = [];
  byId("try-result").replaceChildren();
  draw();
}

byId("try").addEventListener("submit", tryIt);
byId("try").addEventListener("reset", () => { explained = []; byId("try-result").replaceChildren(); draw(); });
