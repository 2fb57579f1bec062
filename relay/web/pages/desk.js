// The operator's desk: open incidents, dead deliveries, silences.
import { ask, byId, complain, make, moment, open, put, sentence, sure, who } from "./parts.js";
import { now } from "./times.js";

const MOST_SHOWN = 200;
export const MOST_ASKED = 1000; // an alert counts once for each of its rooms
let changed = () => {};

/** Call `act` after each change that is made here. */
export function whenChanged(act) {
  changed = act;
}

const empty = (text) => [make("li", { key: "" }, make("span", { class: "empty" }, text))];

// Incidents

const isHeld = (one) => one.held && one.state === "firing";

function roomChip(one) {
  if (isHeld(one)) return make("span", { class: "chip warn" }, `${one.room}: ${one.held}`);
  if (one.undelivered) return make("span", { class: "chip bad" }, `${one.room}: not delivered, ${one.undelivered}`);
  if (!one.message_id) return make("span", { class: "chip" }, `${one.room}: not posted yet`);
  return make("span", { class: "chip good", title: `message ${one.message_id}` }, `${one.room}: message …${one.message_id.slice(-8)}`);
}

/** Say why an alert is held back, once for each reason. */
const heldBack = (rooms) => [...new Set(rooms.filter(isHeld).map((one) => one.held))].map((reason) => make("div", { class: "warn" }, `held back: ${sentence(reason)}`));

function incident([name, rooms]) {
  const [first] = rooms;
  const labels = Object.entries(first.labels).map(([label, value]) => `${label}=${value}`).join(" ");
  return make("li", { key: name }, make("span", { class: `severity ${first.severity}` }, first.severity),
    make("div", {}, make("div", { class: "what" }, first.name),
      make("div", { class: "dim" }, first.source, " · since ", moment(first.started_at), first.flapping ? " · flapping" : "", labels ? ` · ${labels}` : ""),
      first.acknowledged_by && make("div", { class: "good" }, `${first.acknowledged_by} has it${first.comment ? `: ${first.comment}` : ""}`),
      ...heldBack(rooms),
      make("div", { class: "chips" }, ...rooms.map(roomChip))),
    make("div", { class: "buttons" },
      first.acknowledged_by
        ? make("button", { "aria-label": `Unacknowledge ${first.name}`, onclick: () => acknowledge(first, "unack") }, "Unacknowledge")
        : make("button", { "aria-label": `Acknowledge ${first.name}`, onclick: () => acknowledge(first, "ack") }, "Acknowledge"),
      make("button", { "aria-label": `Silence ${first.name}`,
        onclick: () => addSilence([`source=${JSON.stringify(first.source)}`, `key=${JSON.stringify(first.key)}`]) }, "Silence")));
}

export function drawIncidents(found, count) {
  const grouped = new Map();
  for (const one of found) {
    const name = JSON.stringify([one.source, one.key]);
    grouped.set(name, [...(grouped.get(name) ?? []), one]);
  }
  const shown = [...grouped].slice(0, MOST_SHOWN);
  byId("incidents-count").textContent = shown.length < count ? `${count}, the worst ${shown.length} are shown` : "";
  put(byId("incidents-list"), shown.length ? shown.map(incident) : empty("Nothing is open."));
}

/** Ask who acknowledges an alert (`ack`), or withdraws that (`unack`), and record it. */
function acknowledge(one, verb) {
  byId("ack-title").textContent = verb === "ack" ? "I have it" : `${one.acknowledged_by} does not have it any more`;
  byId("ack-done").textContent = verb === "ack" ? "Acknowledge" : "Unacknowledge";
  byId("ack-what").textContent = one.name;
  byId("ack-by").value = who.get();
  byId("ack-comment").value = "";
  open(byId("ack-dialog"), async () => {
    const by = byId("ack-by").value;
    await ask("POST", `/api/v1/incidents/${one.id}/${verb}`, { by, comment: byId("ack-comment").value });
    who.set(by);
    changed();
  });
}

// Dead deliveries

let deadSeen = null;

async function settle(verb, ids) {
  await ask("POST", `/api/v1/deliveries/${verb}`, { ids });
  deadSeen = null;
  changed();
}

const retry = (one) => settle("retry", [one.id]).catch((error) => complain(`Retry ${one.title}`, error));

function dead(one) {
  return make("li", { key: String(one.id) }, make("span", { class: `severity ${one.severity}` }, one.severity),
    make("div", {}, make("div", { class: "what" }, one.title),
      make("div", { class: "dim" }, `${one.action} for ${one.room} · since `, moment(one.settled_at), ` · after ${one.attempts} attempt${one.attempts === 1 ? "" : "s"}`),
      make("div", { class: "bad" }, `${one.reason}: ${one.last_error ?? ""}`)),
    make("div", { class: "buttons" },
      make("button", { "aria-label": `Retry ${one.title}`, onclick: () => retry(one) }, "Retry"),
      make("button", { "aria-label": `Drop ${one.title}`,
        onclick: () => sure("Drop this delivery?", `${one.title}, for ${one.room}: it will not be sent, but stays on record.`, () => settle("drop", [one.id])) }, "Drop")));
}

export async function drawDead(count) {
  if (count === deadSeen) return;
  const found = count ? await ask("GET", `/api/v1/deliveries?state=dead&limit=${MOST_SHOWN}`) : [];
  deadSeen = count;
  byId("dead").hidden = byId("dead-link").hidden = count === 0;
  byId("dead-count").textContent = found.length < count ? `${count}, the last ${found.length} are shown` : `${count}`;
  const ids = found.map((one) => one.id);
  byId("retry-all").onclick = () => sure("Retry all dead deliveries?", `${ids.length} are sent again, with the present state of their alerts.`, () => settle("retry", ids));
  byId("drop-all").onclick = () => sure("Drop all dead deliveries?", `${ids.length} will not be sent, but stay on record.`, () => settle("drop", ids));
  put(byId("dead-list"), found.map(dead));
}

// Silences

function silence(one) {
  const matchers = one.matchers.join(", ");
  return make("li", { key: one.id }, make("span", { class: "severity" }, one.state),
    make("div", {}, make("code", { class: "what" }, matchers),
      make("div", { class: "dim" }, `${one.created_by}: ${one.comment} · `, moment(one.starts_at), " to ", moment(one.ends_at))),
    make("div", { class: "buttons" }, make("button", { "aria-label": `Expire the silence ${matchers}`,
      onclick: () => sure("Expire this silence?", `${matchers}: alerts that still fire are posted then.`,
        () => ask("POST", `/api/v1/silences/${encodeURIComponent(one.id)}/expire`).then(changed)) }, "Expire")));
}

export function drawSilences(found) {
  const shown = found.filter((one) => one.state !== "expired");
  put(byId("silences-list"), shown.length ? shown.map(silence) : empty("Nothing is silenced."));
}

const UNITS = { s: 1, m: 60, h: 3600, d: 86400, w: 604800 };

function addSilence(matchers = []) {
  byId("silence-matchers").value = matchers.join("\n");
  byId("silence-by").value = who.get();
  byId("silence-comment").value = "";
  open(byId("silence-dialog"), async () => {
    const seconds = [...byId("silence-for").value.matchAll(/(\d+)([smhdw])/g)].reduce((sum, [, number, unit]) => sum + number * UNITS[unit], 0);
    const by = byId("silence-by").value;
    await ask("POST", "/api/v1/silences", {
      matchers: byId("silence-matchers").value.split("\n").map((line) => line.trim()).filter(Boolean),
      ends_at: new Date(now() + seconds * 1000).toISOString(), created_by: by, comment: byId("silence-comment").value,
    });
    who.set(by);
    changed();
  });
}

byId("add-silence").addEventListener("click", () => addSilence());
