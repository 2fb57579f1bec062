// The present state: figures, troubles, rooms, sources.
import { byId, make, moment, put, spark } from "./parts.js";
import { clock, duration } from "./times.js";

const RECENT = 12; // points (one minute) in which the last latency still counts as the present one

function tile(name, value, values, bad = false) {
  return make("li", { key: name, class: bad ? "bad" : null }, make("div", { class: "dim" }, name), make("div", { class: "value" }, value),
    values && spark(values, `${name}: the last ten minutes, now ${value}`));
}

export function drawTiles(state, points) {
  const last = points.at(-1);
  const rate = (value) => (value === undefined ? "–" : `${value < 10 ? value.toFixed(1) : Math.round(value)}/s`);
  const slow = points.slice(-RECENT).findLast((point) => point.latency_p90_seconds !== null)?.latency_p90_seconds;
  const waiting = state.rooms.reduce((sum, room) => sum + room.waiting, 0);
  const dead = state.rooms.reduce((sum, room) => sum + room.dead, 0);
  put(byId("tiles"), [
    tile("Events", rate(last?.events_per_second), points.map((point) => point.events_per_second)),
    tile("Delivered", rate(last?.deliveries_per_second), points.map((point) => point.deliveries_per_second)),
    tile("Latency, 90 %", slow === undefined ? "–" : slow < 1 ? `${Math.round(slow * 1000)} ms` : `${slow} s`,
      points.map((point) => point.latency_p90_seconds)),
    tile("Waiting", String(waiting), null), tile("Dead", String(dead), null, dead > 0),
    tile("Open alerts", String(state.alerts.open), null),
  ]);
}

/** Show what is wrong, worst first, each with what to do about it. Its detail changes too often to be read aloud. */
export function drawTroubles(state) {
  put(byId("troubles"), state.findings.map((one) => make("div", { key: `${one.code} ${one.about}`, class: one.severity === "warning" ? "finding warn" : "finding" },
    make("p", {}, make("strong", {}, one.sentence), ` ${one.remedy}`), one.detail && make("p", { class: "dim detail", "aria-live": "off" }, one.detail))));
}

const cell = (text, name) => make("td", { class: name }, text);
const row = (name, ...cells) => make("tr", { key: name }, make("th", { scope: "row" }, name), ...cells);

function setAside(room) {
  return `${room.set_aside} set aside until ${clock(room.set_aside_until)} (worst: ${room.set_aside_severity})`;
}

const SHADES = { ok: "good", warning: "warn", critical: "bad" };

function roomState(room) {
  const rest = room.state === "works" && room.rests_for_seconds > 0 ? `paused for ${duration(room.rests_for_seconds)}` : room.state;
  return [SHADES[room.health], `${room.set_aside ? `${setAside(room)} · ` : ""}${rest}`];
}

export function drawRooms(state) {
  put(byId("rooms").querySelector("tbody"), state.rooms.map((room) => {
    const [name, text] = roomState(room);
    return row(room.room, cell(text, name), cell(String(room.waiting), "number"),
      cell(room.oldest_seconds ? duration(room.oldest_seconds) : "", "number"), cell(String(room.dead), room.dead ? "number bad" : "number"));
  }));
}

function sourceState(source, feed) {
  if (source.silent) return ["bad", "silent"];
  if (!feed) return ["good", "listens"];
  if (feed.connected) return ["good", "connected"];
  return ["bad", `down${feed.tries ? ` after ${feed.tries} ${feed.tries === 1 ? "try" : "tries"}` : ""}${feed.last_error ? `: ${feed.last_error}` : ""}`];
}

export function drawSources(state) {
  const feeds = new Map(state.feeds.map((feed) => [feed.source, feed]));
  put(byId("sources").querySelector("tbody"), state.sources.map((source) => {
    const feed = feeds.get(source.source);
    const [name, text] = sourceState(source, feed);
    const at = feed?.last_message_at ?? source.last_event_at;
    return row(source.source, cell(text, name), make("td", { class: "mono" }, at ? moment(at) : "none yet"),
      cell(String(source.waiting), "number"), cell(String(source.refused), source.refused ? "number warn" : "number"));
  }));
}
