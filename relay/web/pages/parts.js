// What the page is made of: elements (text is only ever set as text), times in words, questions to the API, dialogs.

export const byId = (id) => document.getElementById(id);

/** An element with properties and children; a child that is no element is text. */
export function make(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null) continue;
    if (name === "class") made.className = value;
    else if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name in made && !name.startsWith("aria")) made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return made;
}

/** Put children in the place of others, only where they differ: what is focused or selected stays so. */
export function put(parent, children) {
  const signature = JSON.stringify(children.map((child) => child.dataset.signature ?? child.outerHTML));
  if (parent.dataset.signature === signature) return;
  const focused = parent.contains(document.activeElement) ? document.activeElement.dataset.focus : undefined;
  parent.dataset.signature = signature;
  parent.replaceChildren(...children);
  if (focused) parent.querySelector(`[data-focus="${CSS.escape(focused)}"]`)?.focus();
}

export class Refused extends Error {
  constructor(message, status, body) {
    super(message);
    this.status = status;
    this.body = body;
  }
}

/** What the API answers. Throws `Refused`. */
export async function ask(method, path, body) {
  const options = { method, headers: {} };
  if (body !== undefined) {
    options.body = JSON.stringify(body);
    options.headers["Content-Type"] = "application/json";
  }
  const answer = await fetch(path, options);
  if (answer.status === 401) {
    location.assign("/login");
    throw new Refused("logged out", 401);
  }
  const said = await answer.json().catch(() => null);
  if (!answer.ok) throw new Refused(said?.error?.message ?? `answered ${answer.status}`, answer.status, said);
  return said;
}

/** Seconds in words, as the command line says them. */
export function duration(seconds) {
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min`;
  if (whole < 86400) return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
  return `${Math.floor(whole / 86400)} d ${Math.floor((whole % 86400) / 3600)} h`;
}

const two = (number) => String(number).padStart(2, "0");

/** A moment as the wall's clock shows it; with the day where it is another one. */
export function clock(iso) {
  const at = new Date(iso);
  const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} `;
  return `${at.toDateString() === new Date().toDateString() ? "" : day}${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

export const moment = (iso) => make("time", { dateTime: iso, title: iso }, clock(iso));

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

/** Show a dialog; once its form is sent, `act` is done, and what it refuses is shown in the dialog. */
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
  dialog.showModal();
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
