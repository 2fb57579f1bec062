// The page: state is asked of the API, what is new comes by the feed, and after a break it goes on where it was.
import { ask, byId, clock, duration, make, moment, open, put, Refused, spark, sure, who } from "./parts.js";
import { showRoutes } from "./routes.js";

const EVERY = 3000; // ms between two looks at the state, though nothing comes
const MOST_EVENTS = 100;
const MOST_SHOWN = 200;
let place = null; // how far the feed was read
let paused = false;
let loadedHash = null;
let deadSeen = null;
const events = new Map(); // id → {event, fates: Map(delivery → [room, state, why])}

// Now

function tile(name, value, values, words, bad = false) {
  return make("li", bad ? { class: "bad" } : {}, make("div", { class: "dim" }, name), make("div", { class: "value" }, value),
    values && spark(values, `${name}: the last ten minutes, now ${words ?? value}`));
}

function drawTiles(state, points) {
  const last = points.at(-1);
  const rate = (value) => (value === undefined ? "–" : `${value < 10 ? value.toFixed(1) : Math.round(value)}/s`);
  const slow = points.findLast((point) => point.slowest_seconds !== null)?.slowest_seconds;
  const waiting = state.rooms.reduce((sum, room) => sum + room.waiting, 0);
  const dead = state.rooms.reduce((sum, room) => sum + room.dead, 0);
  put(byId("tiles"), [
    tile("Events", rate(last?.events_per_second), points.map((point) => point.events_per_second)),
    tile("Delivered", rate(last?.deliveries_per_second), points.map((point) => point.deliveries_per_second)),
    tile("Latency, 90 %", slow === undefined ? "–" : slow < 1 ? `${Math.round(slow * 1000)} ms` : `${slow} s`,
      points.map((point) => point.slowest_seconds)),
    tile("Waiting", String(waiting), null), tile("Dead", String(dead), null, null, dead > 0),
    tile("Open incidents", String(state.incidents.open), null),
  ]);
}

function drawTroubles(state) {
  const found = [];
  const say = (text, warn) => found.push(make("p", warn ? { class: "warn" } : {}, text));
  for (const one of state.accounts) if (one.refused) say(`Account ${one.account} is refused: ${one.refused}. Everything for its rooms is kept and waits.`);
  for (const one of state.accounts) if (one.token_trouble) say(`Account ${one.account}: ${one.token_trouble}`);
  if (!state.config.last_reload_good) say("The configuration could not be reloaded; the one before goes on. What is wrong is told below.");
  if (state.config.restart_needed.length) say(`Changed, and in force only after a restart: ${state.config.restart_needed.join(", ")}.`, true);
  if (state.heartbeat_trouble) say(`The heartbeat does not get out: ${state.heartbeat_trouble}`, true);
  put(byId("troubles"), found);
}

const cell = (tag, text, name, properties = {}) => make(tag, { class: name, ...properties }, text);

function roomState(room) {
  if (room.error) return ["bad", `refused: ${room.error}`];
  if (room.goes_to) return ["warn", `goes to ${room.goes_to}${room.last_error ? `: ${room.last_error}` : ""}`];
  if (room.last_error) return ["warn", `fails for ${duration(room.failing_seconds)}: ${room.last_error}`];
  if (room.rests_for_seconds > 0) return ["warn", `paused for ${duration(room.rests_for_seconds)}`];
  return ["good", "works"];
}

function drawRooms(state) {
  put(byId("rooms").querySelector("tbody"), state.rooms.map((room) => {
    const [name, said] = roomState(room);
    return make("tr", {}, cell("th", room.room, "", { scope: "row" }), cell("td", String(room.waiting), "number"),
      cell("td", room.oldest_seconds ? duration(room.oldest_seconds) : "", "number"), cell("td", String(room.dead), room.dead ? "number bad" : "number"),
      cell("td", said, name));
  }));
}

function sourceState(source, feed) {
  if (source.silent) return ["bad", "silent"];
  if (!feed) return ["good", "listens"];
  if (feed.connected) return ["good", "connected"];
  return ["bad", `down${feed.tries ? ` after ${feed.tries} ${feed.tries === 1 ? "try" : "tries"}` : ""}${feed.last_error ? `: ${feed.last_error}` : ""}`];
}

function drawSources(state) {
  const feeds = new Map(state.feeds.map((feed) => [feed.source, feed]));
  put(byId("sources").querySelector("tbody"), state.sources.map((source) => {
    const feed = feeds.get(source.source);
    const [name, said] = sourceState(source, feed);
    const at = feed?.last_message_at ?? source.last_event_at;
    return make("tr", {}, cell("th", source.source, "", { scope: "row" }), cell("td", at ? moment(at) : "none yet", "mono"),
      cell("td", String(source.waiting), "number"), cell("td", String(source.refused), source.refused ? "number warn" : "number"), cell("td", said, name));
  }));
}

// Incidents

function told(one) {
  if (one.held) return make("span", { class: "chip warn" }, `${one.room}: held, ${one.held}`);
  if (!one.message_id) return make("span", { class: "chip" }, `${one.room}: not told yet`);
  return make("span", { class: "chip good", title: `message ${one.message_id}` }, `${one.room}: message …${one.message_id.slice(-8)}`);
}

function incident(rooms) {
  const [first] = rooms;
  const name = `${first.source}/${first.key}`;
  const labels = Object.entries(first.labels).map(([label, value]) => `${label}=${value}`).join(" ");
  return make("li", {}, make("span", { class: `severity ${first.severity}` }, first.severity),
    make("div", {}, make("div", { class: "what" }, first.title),
      make("div", { class: "dim" }, first.source, " · since ", moment(first.started_at), first.flapping ? " · flapping" : "", labels ? ` · ${labels}` : ""),
      first.acknowledged_by && make("div", { class: "good" }, `${first.acknowledged_by} has it${first.comment ? `: ${first.comment}` : ""}`),
      make("div", { class: "chips" }, ...rooms.map(told))),
    make("div", { class: "buttons" },
      make("button", { "data-focus": `ack ${name}`, "aria-label": `Acknowledge ${first.title}`, onclick: () => acknowledge(first) }, "Acknowledge"),
      make("button", { "data-focus": `silence ${name}`, "aria-label": `Silence ${first.title}`,
        onclick: () => addSilence([`source=${JSON.stringify(first.source)}`, `key=${JSON.stringify(first.key)}`]) }, "Silence")));
}

function drawIncidents(open_, found) {
  const grouped = new Map();
  for (const one of found) {
    const name = JSON.stringify([one.source, one.key]);
    grouped.set(name, [...(grouped.get(name) ?? []), one]);
  }
  byId("incidents-count").textContent = found.length < open_ ? `${open_}, the worst ${found.length} are shown` : "";
  const drawn = [...grouped.values()].map(incident);
  put(byId("incidents-list"), drawn.length ? drawn : [make("li", {}, make("span", { class: "empty" }, "Nothing is open."))]);
}

function acknowledge(one) {
  byId("ack-what").textContent = one.title;
  byId("ack-by").value = who.get();
  byId("ack-comment").value = "";
  open(byId("ack-dialog"), async () => {
    const by = byId("ack-by").value;
    await ask("POST", `/api/v1/incidents/${one.id}/ack`, { by, comment: byId("ack-comment").value });
    who.set(by);
    soon();
  });
}

// Dead deliveries

const dead = (verb, ids) => ask("POST", `/api/v1/deliveries/${verb}`, { ids }).then(() => { deadSeen = null; soon(); });

function drawDead(found, count) {
  byId("dead").hidden = count === 0;
  byId("dead-count").textContent = found.length < count ? `${count}, the last ${found.length} are shown` : `${count}`;
  byId("retry-all").onclick = () => sure("Retry all dead deliveries?", `${found.length} are sent again, as things stand now.`, () => dead("retry", found.map((one) => one.id)));
  byId("drop-all").onclick = () => sure("Drop all dead deliveries?", `${found.length} are given up; they stay on record.`, () => dead("drop", found.map((one) => one.id)));
  put(byId("dead-list"), found.map((one) => make("li", {}, make("span", { class: `severity ${one.severity}` }, one.severity),
    make("div", {}, make("div", { class: "what" }, one.title),
      make("div", { class: "dim" }, `${one.action} for ${one.room} · since `, moment(one.settled_at), ` · after ${one.attempts} attempt${one.attempts === 1 ? "" : "s"}`),
      make("div", { class: "bad" }, `${one.reason}: ${one.last_error ?? ""}`)),
    make("div", { class: "buttons" },
      make("button", { "data-focus": `retry ${one.id}`, "aria-label": `Retry ${one.title}`, onclick: () => dead("retry", [one.id]).catch(complain) }, "Retry"),
      make("button", { "data-focus": `drop ${one.id}`, "aria-label": `Drop ${one.title}`,
        onclick: () => sure("Drop this delivery?", `${one.title}, for ${one.room}: it is given up, and stays on record.`, () => dead("drop", [one.id])) }, "Drop")))));
}

// Silences

function drawSilences(found) {
  const shown = found.filter((one) => one.state !== "expired");
  put(byId("silences-list"), shown.length ? shown.map((one) => make("li", {}, make("span", { class: "severity" }, one.state),
    make("div", {}, make("code", { class: "what" }, one.matchers.join(", ")),
      make("div", { class: "dim" }, `${one.created_by}: ${one.comment} · `, moment(one.starts_at), " to ", moment(one.ends_at))),
    make("div", { class: "buttons" }, make("button", { "data-focus": `expire ${one.id}`, "aria-label": `Expire the silence ${one.matchers.join(", ")}`,
      onclick: () => sure("Expire this silence?", `${one.matchers.join(", ")}: what still fires is told then.`, () => ask("POST", `/api/v1/silences/${encodeURIComponent(one.id)}/expire`).then(soon)) }, "Expire"))))
    : [make("li", {}, make("span", { class: "empty" }, "Nothing is silenced."))]);
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
      ends_at: new Date(Date.now() + seconds * 1000).toISOString(), created_by: by, comment: byId("silence-comment").value,
    });
    who.set(by);
    soon();
  });
}

// Events

const FATES = { done: "good", dead: "bad", dropped: "bad", waiting: "warn", leased: "warn" };

function fate(event, fates) {
  if (event.set_aside || event.state === "set_aside") return [make("span", { class: "chip bad" }, "set aside")];
  const counted = new Map();
  for (const [room, state, why] of fates.values()) {
    const said = `${room}: ${state}`;
    counted.set(said, { state, why: why ?? counted.get(said)?.why ?? "", count: (counted.get(said)?.count ?? 0) + 1 });
  }
  const chips = [...counted].map(([said, { state, why, count }]) =>
    make("span", { class: `chip ${FATES[state] ?? ""}`, title: why }, count > 1 ? `${said} ×${count}` : said));
  if (!chips.length && event.suppressed) return [make("span", { class: "chip" }, event.suppressed)];
  return chips.length ? chips : [make("span", { class: "chip" }, event.state === "waiting" ? "to be planned" : "no message yet")];
}

function drawEvents() {
  if (paused) return;
  const latest = [...events.values()].sort((a, b) => b.event.seq - a.event.seq);
  for (const { event } of latest.slice(MOST_EVENTS)) events.delete(event.id);
  put(byId("events-list"), latest.length ? latest.slice(0, MOST_EVENTS).map(({ event, fates }) => make("li", {}, moment(event.received_at),
    event.status === "resolved" ? make("span", { class: "severity good" }, "resolved") : make("span", { class: `severity ${event.severity}` }, event.severity),
    make("span", {}, make("button", { class: "title", "data-focus": event.id, onclick: () => showEvent(event.id) }, event.title), make("span", { class: "dim" }, ` ${event.source}`)),
    make("span", { class: "chips" }, ...fate(event, fates)))) : [make("li", {}, make("span", { class: "empty" }, "No event has come yet."))]);
}

function takeEvent(event) {
  const known = events.get(event.id);
  events.set(event.id, { event, fates: known?.fates ?? new Map() });
}

function takeDelivery(one) {
  const known = events.get(one.event_id);
  if (known) known.fates.set(one.id, [one.room, one.state, one.last_error]);
}

async function showEvent(id) {
  byId("event-title").textContent = "…";
  byId("event-body").replaceChildren();
  byId("event-dialog").showModal();
  try {
    const event = await ask("GET", `/api/v1/events/${encodeURIComponent(id)}`);
    byId("event-title").textContent = event.title;
    const facts = { id: event.id, source: event.source, status: event.status, severity: event.severity, key: event.key, received: event.received_at, occurred: event.occurred_at };
    const pairs = Object.entries({ ...facts, ...event.labels }).flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, String(value))]);
    byId("event-body").replaceChildren(make("dl", {}, ...pairs), event.body && make("p", {}, event.body),
      ...event.deliveries.map((one) => make("p", {}, `${one.action} ${one.id} to ${one.room}: ${one.state}${one.last_error ? `, ${one.last_error}` : ""}`)),
      event.suppressed ? make("p", {}, `no message: ${event.suppressed}`) : "", make("h3", {}, "Payload"), make("pre", { tabIndex: 0, "aria-label": "Payload" }, event.payload));
  } catch (error) {
    byId("event-title").textContent = error.message;
  }
}

// Configuration

const problemText = (one) => `${one.file}:${one.line}:${one.column}: ${one.path ? `${one.path}: ` : ""}${one.message}`;

async function showConfig() {
  const config = await ask("GET", "/api/v1/config");
  const last = config.last_reload;
  byId("config-about").replaceChildren(`${config.file}, loaded `, moment(config.loaded_at), ` · hash ${config.hash}`);
  byId("config-problems").replaceChildren(...(last.problems.length ? [
    make("p", { class: last.good ? "warn" : "bad" }, last.good ? "Warnings:" : `The attempt of ${clock(last.at)} was refused:`),
    make("pre", { tabIndex: 0, "aria-label": "Problems of the configuration" }, last.problems.map(problemText).join("\n"))] : []));
  byId("config-text").textContent = config.yaml;
}

async function reload() {
  byId("reload").disabled = true;
  try {
    await ask("POST", "/-/reload");
  } catch (error) {
    if (error.status !== 422) complain(error);
  } finally {
    byId("reload").disabled = false;
    loadedHash = null;
    soon();
  }
}

// The state, and what is new

function complain(error) {
  byId("ready").textContent = error.message;
  byId("ready").className = "pill bad";
}

async function look() {
  const [state, points, found, silences, latest] = await Promise.all([
    ask("GET", "/api/v1/status"), ask("GET", "/api/v1/trends"), ask("GET", `/api/v1/incidents?limit=${MOST_SHOWN}`),
    ask("GET", "/api/v1/silences"), ask("GET", "/api/v1/events?limit=50"),
  ]);
  byId("ready").textContent = state.ready ? "ready" : `not ready: ${state.why_not_ready}`;
  byId("ready").className = state.ready ? "pill good" : "pill bad";
  byId("about").textContent = `version ${state.version} · up ${duration(state.uptime_seconds)}`;
  document.title = `${state.incidents.open ? `(${state.incidents.open}) ` : ""}relay`;
  drawTroubles(state);
  drawTiles(state, points);
  drawRooms(state);
  drawSources(state);
  drawIncidents(state.incidents.open, found);
  drawSilences(silences);
  latest.forEach(takeEvent);
  drawEvents();
  const count = state.rooms.reduce((sum, room) => sum + room.dead, 0);
  if (count !== deadSeen) {
    drawDead(count ? await ask("GET", `/api/v1/deliveries?state=dead&limit=${MOST_SHOWN}`) : [], count);
    deadSeen = count;
  }
  const hash = `${state.config.hash} ${state.config.loaded_at} ${state.config.last_reload_good} ${state.config.problems} ${state.started_at}`;
  if (hash !== loadedHash) {
    await Promise.all([showConfig(), showRoutes(state.sources.map((source) => source.source))]);
    loadedHash = hash;
  }
}

let timer = null;
let dueAt = Infinity;

/** Look at the state within so many milliseconds; of several wishes the soonest counts. */
function soon(after = 100) {
  const at = performance.now() + (typeof after === "number" ? after : 100);
  if (at >= dueAt) return;
  clearTimeout(timer);
  dueAt = at;
  timer = setTimeout(lookAndGoOn, at - performance.now());
}

async function lookAndGoOn() {
  try {
    if (!document.hidden) await look();
  } catch (error) {
    complain(error instanceof Refused ? error : new Error("the relay does not answer; trying again"));
  }
  dueAt = Infinity;
  soon(EVERY);
}

async function recall() {
  const [latest, deliveries] = await Promise.all([ask("GET", `/api/v1/events?limit=${MOST_EVENTS}`), ask("GET", "/api/v1/deliveries?limit=300")]);
  latest.forEach(takeEvent);
  deliveries.forEach(takeDelivery);
  drawEvents();
}

function follow() {
  const address = new URL("/feed", location.href);
  address.protocol = address.protocol.replace("http", "ws");
  if (place) address.searchParams.set("since", place);
  const socket = new WebSocket(address);
  socket.onopen = () => recall().catch(() => {}).then(() => soon());
  socket.onmessage = ({ data }) => {
    const message = JSON.parse(data);
    place = message.id;
    if (message.type === "event") takeEvent(message.event);
    if (message.type === "delivery") takeDelivery(message.delivery);
    if (message.type !== "hello") { drawSoon(); soon(1000); }
  };
  socket.onclose = () => { soon(); setTimeout(follow, 1000 + Math.random() * 1000); };
}

let drawing = false;
function drawSoon() {
  if (drawing) return;
  drawing = true;
  setTimeout(() => { drawing = false; drawEvents(); }, 150);
}

byId("pause").addEventListener("click", ({ currentTarget }) => {
  paused = !paused;
  currentTarget.setAttribute("aria-pressed", String(paused));
  currentTarget.textContent = paused ? "Go on" : "Pause";
  drawEvents();
});
byId("add-silence").addEventListener("click", () => addSilence());
byId("reload").addEventListener("click", reload);
document.addEventListener("visibilitychange", () => soon());
soon(0);
follow();
