// The live stream of events, each with the state of its deliveries. It stops scrolling while someone reads it.
import { ask, byId, make, moment, put, sentence, show } from "./parts.js";

export const MOST_EVENTS = 100;
const READING = 20_000; // ms without input after which nobody is reading: a wall's pointer may rest in the list for ever
const FATES = { done: "good", dead: "bad", dropped: "bad", waiting: "warn", leased: "warn" };
const events = new Map(); // id → {event, fates: Map(delivery → [room, state, why])}
const list = byId("events-list");
let shown = []; // ids, the latest first
let fresh = 0; // events that have arrived while the list stood still
let paused = false;
let pointed = false;
let touchedAt = -Infinity; // when someone last used the list

function fate(event, fates) {
  if (event.set_aside || event.state === "set_aside") return [make("span", { class: "chip bad" }, "set aside")];
  const counted = new Map();
  for (const [room, state, why] of fates.values()) {
    const text = `${room}: ${state}`;
    counted.set(text, { state, why: why ?? counted.get(text)?.why ?? "", count: (counted.get(text)?.count ?? 0) + 1 });
  }
  const chips = [...counted].map(([text, { state, why, count }]) =>
    make("span", { class: `chip ${FATES[state] ?? ""}`, title: why }, count > 1 ? `${text} ×${count}` : text));
  if (!chips.length && event.suppressed) return [make("span", { class: "chip", title: sentence(event.suppressed) }, event.suppressed)];
  return chips.length ? chips : [make("span", { class: "chip" }, event.state === "waiting" ? "to be planned" : "no message yet")];
}

function row({ event, fates }) {
  return make("li", { key: event.id }, moment(event.received_at),
    event.status === "resolved" ? make("span", { class: "severity good" }, "resolved") : make("span", { class: `severity ${event.severity}` }, event.severity),
    make("span", {}, make("button", { class: "title", onclick: () => showEvent(event.id) }, event.title), make("span", { class: "dim" }, ` ${event.source}`)),
    make("span", { class: "chips" }, ...fate(event, fates)));
}

const isRead = () => performance.now() - touchedAt < READING && (pointed || list.querySelector(":focus-visible") !== null);

export function drawEvents() {
  const still = paused || (isRead() && shown.length > 0);
  const latest = [...events.values()].sort((a, b) => b.event.seq - a.event.seq).slice(0, MOST_EVENTS).map(({ event }) => event.id);
  if (!still) { shown = latest; fresh = 0; }
  const kept = new Set([...latest, ...shown]);
  for (const id of events.keys()) if (!kept.has(id)) events.delete(id);
  put(list, shown.length ? shown.map((id) => row(events.get(id))) : [make("li", { key: "" }, make("span", { class: "empty" }, "No event has arrived yet."))]);
  byId("events-fresh").textContent = still && fresh ? `${fresh} new` : "";
}

export function takeEvent(event) {
  const known = events.get(event.id);
  if (!known && event.seq > Math.max(0, ...shown.map((id) => events.get(id).event.seq))) fresh += 1;
  events.set(event.id, { event, fates: known?.fates ?? new Map() });
}

export function takeDelivery(one) {
  events.get(one.event_id)?.fates.set(one.id, [one.room, one.state, one.last_error]);
}

let drawing = false;
export function drawSoon() {
  if (drawing) return;
  drawing = true;
  setTimeout(() => { drawing = false; drawEvents(); }, 150);
}

async function showEvent(id) {
  byId("event-title").textContent = "…";
  byId("event-body").replaceChildren();
  show(byId("event-dialog"));
  try {
    const event = await ask("GET", `/api/v1/events/${encodeURIComponent(id)}`);
    byId("event-title").textContent = event.title;
    const facts = { id: event.id, source: event.source, status: event.status, severity: event.severity, key: event.key, received: event.received_at, occurred: event.occurred_at };
    const pairs = Object.entries({ ...facts, ...event.labels }).flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, String(value))]);
    byId("event-body").replaceChildren(make("dl", {}, ...pairs), event.body && make("p", {}, event.body),
      ...event.deliveries.map((one) => make("p", {}, `${one.action} ${one.id} to ${one.room}: ${one.state}${one.last_error ? `, ${one.last_error}` : ""}`)),
      event.suppressed ? make("p", {}, `no message: ${sentence(event.suppressed)}`) : "", make("h3", {}, "Payload"), make("pre", { tabIndex: 0, "aria-label": "Payload" }, event.payload));
  } catch (error) {
    byId("event-title").textContent = error.message;
  }
}

byId("pause").addEventListener("click", ({ currentTarget }) => {
  paused = !paused;
  currentTarget.setAttribute("aria-pressed", String(paused));
  currentTarget.textContent = paused ? "Continue" : "Pause";
  drawEvents();
});
list.addEventListener("pointerenter", ({ pointerType }) => { pointed = pointerType === "mouse"; });
list.addEventListener("pointerleave", () => { pointed = false; drawSoon(); });
for (const kind of ["pointerenter", "pointermove", "pointerdown", "keydown", "focusin", "wheel"]) {
  list.addEventListener(kind, () => { touchedAt = performance.now(); }, { passive: true });
}
list.addEventListener("focusout", drawSoon);
