// The page: it polls the state from the API, gets news from the feed, and resumes the feed after a break.
import { drawDead, drawIncidents, drawSilences, MOST_ASKED, whenChanged } from "./desk.js";
import { drawEvents, drawSoon, MOST_EVENTS, takeDelivery, takeEvent } from "./events.js";
import { drawRooms, drawSources, drawTiles, drawTroubles } from "./now.js";
import { ask, byId, complain, make, moment, useSentences } from "./parts.js";
import { showRoutes } from "./routes.js";
import { clock, duration, now, timeOfDay, useZone } from "./times.js";

const EVERY = 3000; // ms between two polls of the state if the feed brings nothing
const EVERY_UNSEEN = 15000; // the same while the page is in the background: only its title is seen then
let place = null; // the place in the feed, for `since`
let loaded = null; // the load of the configuration that is shown
let lookedAt = now();

// Configuration

const problemText = (one) => `${one.file}:${one.line}:${one.column}: ${one.path ? `${one.path}: ` : ""}${one.message}`;

async function showConfig() {
  const config = await ask("GET", "/api/v1/config");
  const last = config.last_reload;
  useZone(config.timezone);
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
    if (error.status !== 422) complain("Reload", error); // a refused configuration is shown with its problems
  } finally {
    byId("reload").disabled = false;
    loaded = null;
    soon();
  }
}

// The state and the news

async function look() {
  const [state, points, incidents, silences, latest] = await Promise.all([
    ask("GET", "/api/v1/status"), ask("GET", "/api/v1/trends"), ask("GET", `/api/v1/incidents?limit=${MOST_ASKED}`),
    ask("GET", "/api/v1/silences"), ask("GET", "/api/v1/events?limit=50"),
  ]);
  const load = `${state.config.hash} ${state.config.loaded_at} ${state.config.last_reload_good} ${state.config.problems} ${state.started_at}`;
  if (load !== loaded) {
    useSentences(await ask("GET", "/api/v1/reasons"));
    await Promise.all([showConfig(), showRoutes()]);
    loaded = load;
  }
  byId("ready").textContent = state.ready ? "ready" : `not ready: ${state.why_not_ready}`;
  byId("ready").className = state.ready ? "pill good" : "pill bad";
  byId("about").textContent = `version ${state.version} · up ${duration(state.uptime_seconds)}`;
  document.title = `${state.ready ? "" : "! "}${state.alerts.open ? `(${state.alerts.open}) ` : ""}relay`;
  drawTroubles(state);
  drawTiles(state, points);
  drawRooms(state);
  drawSources(state);
  drawIncidents(incidents, state.alerts.open);
  drawSilences(silences);
  latest.forEach(takeEvent);
  drawEvents();
  await drawDead(state.rooms.reduce((sum, room) => sum + room.dead, 0));
}

function found() {
  lookedAt = now();
  document.body.classList.remove("lost");
  byId("lost").hidden = true;
}

function lost(error) {
  document.body.classList.add("lost");
  document.title = "! relay";
  byId("ready").textContent = "no answer";
  byId("ready").className = "pill bad";
  byId("lost").hidden = false;
  const why = error.status ? `The relay can't show its state: ${error.message}` : "No answer from the relay";
  const text = `${why}. This page shows the state of ${clock(lookedAt)}, and keeps asking.`;
  // an equal text is not set again: a screen reader would read the alert each time
  if (byId("lost").textContent !== text) byId("lost").textContent = text;
}

let timer = null;
let dueAt = Infinity;

/** Poll the state within `after` milliseconds; of several calls the soonest counts. */
function soon(after = 100) {
  const at = performance.now() + after;
  if (at >= dueAt) return;
  clearTimeout(timer);
  dueAt = at;
  timer = setTimeout(lookAndGoOn, after);
}

async function lookAndGoOn() {
  try {
    await look();
    found();
  } catch (error) {
    lost(error);
  }
  dueAt = Infinity;
  soon(document.hidden ? EVERY_UNSEEN : EVERY);
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
  // jitter: all pages lose their feed at once when the relay restarts
  socket.onclose = () => { soon(); setTimeout(follow, 1000 + Math.random() * 1000); };
}

const tick = () => { byId("clock").textContent = timeOfDay(); };

whenChanged(() => soon());
byId("reload").addEventListener("click", reload);
document.addEventListener("visibilitychange", () => soon());
tick();
setInterval(tick, 1000);
soon(0);
follow();
