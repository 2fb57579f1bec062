// What the page is made of: elements (text is only ever set as text), questions to the API, dialogs.
import { clock, heard } from "./times.js";

export const byId = (id) => document.getElementById(id);

/** An element with properties and children; a child that is no element is text. `key` tells it from its siblings. */
export function make(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null) continue;
    if (name === "class") made.className = value;
    else if (name === "key") made.dataset.key = value;
    else if (name in made && !name.startsWith("aria")) made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return made;
}

export const moment = (iso) => make("time", { dateTime: iso, title: iso }, clock(iso));

/** Make what is there into what is to be there: an element of the same key stays the same one, its focus with it. */
export function put(parent, children) {
  const focused = parent.contains(document.activeElement) ? document.activeElement : null;
  fill(parent, children);
  if (!focused || document.activeElement === focused) return;
  const next = focused.isConnected ? focused : parent.closest("[tabindex]");
  next?.focus({ preventScroll: true });
}

function fill(parent, children) {
  const known = new Map([...parent.children].filter((one) => one.dataset.key !== undefined).map((one) => [one.dataset.key, one]));
  let at = parent.firstChild;
  for (const fresh of children) {
    const key = fresh.dataset?.key;
    const old = key === undefined ? (at && at.dataset?.key === undefined && at.nodeName === fresh.nodeName ? at : undefined) : known.get(key);
    if (old === undefined) {
      parent.insertBefore(fresh, at);
      continue;
    }
    known.delete(key);
    if (old === at) at = at.nextSibling;
    else parent.insertBefore(old, at);
    become(old, fresh);
  }
  while (at) {
    const gone = at;
    at = at.nextSibling;
    gone.remove();
  }
}

function become(old, fresh) {
  if (old.nodeType === Node.TEXT_NODE) {
    if (old.data !== fresh.data) old.data = fresh.data;
    return;
  }
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  old.onclick = fresh.onclick;
  fill(old, [...fresh.childNodes]);
}

export class Refused extends Error {
  constructor(message, status, body) {
    super(message);
    this.status = status;
    this.body = body;
  }
}

/** What the API answers. Throws `Refused`, of status 0 where nothing answers. */
export async function ask(method, path, body) {
  const options = { method, headers: {} };
  if (body !== undefined) {
    options.body = JSON.stringify(body);
    options.headers["Content-Type"] = "application/json";
  }
  const answer = await fetch(path, options).catch(() => { throw new Refused("the relay does not answer", 0); });
  heard(answer.headers.get("Date"));
  if (answer.status === 401) {
    location.assign("/login");
    throw new Refused("logged out", 401);
  }
  const said = await answer.json().catch(() => null);
  if (!answer.ok) throw new Refused(said?.error?.message ?? `answered ${answer.status}`, answer.status, said);
  return said;
}

/** Tell what an action came to, until whoever asked for it has read that. */
export function complain(what, error) {
  const line = make("p", {}, `${what}: ${error.message} `, make("button", { type: "button", onclick: () => line.remove() }, "Dismiss"));
  byId("failures").append(line);
}

/** A line through values; gaps where there is none. */
export function spark(values, label) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  const most = Math.max(...values.filter((value) => value !== null), 1e-9);
  svg.setAttribute("viewBox", "0 0 120 24");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", label);
  const path = document.createElementNS(space, "path");
  let pen = "M";
  const steps = values.map((value, place) => {
    if (value === null) { pen = "M"; return ""; }
    const step = `${pen}${(120 * (place + 120 - values.length) / 119).toFixed(1)} ${(22 - 20 * value / most).toFixed(1)}`;
    pen = "L";
    return step;
  });
  path.setAttribute("d", steps.join("") || "M0 22");
  path.setAttribute("class", "spark");
  svg.append(path);
  return svg;
}

/** Have the focus go back to where a dialog was opened, or to its section where that is gone. */
function comeBack(dialog) {
  const opener = document.activeElement;
  const section = opener?.closest("section");
  dialog.addEventListener("close", () => {
    if (opener?.isConnected) opener.focus({ preventScroll: true });
    else section?.querySelector("[tabindex], button")?.focus({ preventScroll: true });
  }, { once: true });
}

/** Show a dialog. */
export function show(dialog) {
  comeBack(dialog);
  dialog.showModal();
}

/** Show a dialog with a form; once that is sent, `act` is done, and what it refuses is shown in the dialog. */
export function open(dialog, act) {
  const trouble = dialog.querySelector(".trouble");
  const form = dialog.querySelector("form");
  trouble.textContent = "";
  form.onsubmit = async (event) => {
    event.preventDefault();
    trouble.textContent = "";
    const button = form.querySelector("button.main");
    button.disabled = true;
    try {
      await act();
      dialog.close();
    } catch (error) {
      trouble.textContent = error.message;
    } finally {
      button.disabled = false;
    }
  };
  dialog.querySelector("[data-close]").onclick = () => dialog.close();
  show(dialog);
}

/** Ask before something is done that can't be taken back. */
export function sure(title, what, act) {
  byId("sure-title").textContent = title;
  byId("sure-what").textContent = what;
  open(byId("sure-dialog"), act);
}

/** Who works here: what was said last time. */
export const who = {
  get: () => localStorage.getItem("relay-who") ?? "",
  set: (name) => localStorage.setItem("relay-who", name),
};
