// Parts of the page: elements (text is only ever set as text, never as HTML), requests to the API, dialogs.
import { clock, heard } from "./times.js";

export const byId = (id) => document.getElementById(id);

/** Make an element with properties and children; other children become text. `key` identifies it among its siblings. */
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

let sentences = {}; // by the word for a reason

/** Use these sentences for the words of reasons. */
export function useSentences(found) {
  sentences = found;
}

export const sentence = (word) => sentences[word] ?? word;

export const moment = (iso) => make("time", { dateTime: iso, title: iso }, clock(iso));

/** Turn a parent's children into the given ones. An element with the same key is kept and changed, so it keeps its focus. */
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

/** Return the API's answer. Throws `Refused`, with status 0 if nothing answers. */
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
  const content = await answer.json().catch(() => null);
  if (!answer.ok) throw new Refused(content?.error?.message ?? `answered ${answer.status}`, answer.status, content);
  return content;
}

/** Show the error of an action until it is dismissed. */
export function complain(what, error) {
  const line = make("p", {}, `${what}: ${error.message} `, make("button", { type: "button", onclick: () => line.remove() }, "Dismiss"));
  byId("failures").append(line);
}

/** Draw a line through values, with gaps where a value is null. */
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

/** Return the focus to the element that opened a dialog once that closes; to its section if the element is gone. */
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

/** Show a dialog with a form; when it is sent, call `act`, and show its error in the dialog. */
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

/** Ask for confirmation before an action that can't be undone. */
export function sure(title, what, act) {
  byId("sure-title").textContent = title;
  byId("sure-what").textContent = what;
  open(byId("sure-dialog"), act);
}

/** The name of the person at this browser, as last entered. */
export const who = {
  get: () => localStorage.getItem("relay-who") ?? "",
  set: (name) => localStorage.setItem("relay-who", name),
};
