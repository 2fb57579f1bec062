"use strict";
// Message HTML comes from the server's own CommonMark renderer with HTML switched off; all else is set as text.
const rooms = document.getElementById("rooms");
const state = document.getElementById("state");
const shown = new Map();

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

// Show the texts and facts of a card, and the names of its buttons. Other elements are left out.
function card(content) {
  const made = element("div", "card");
  const walk = (node) => {
    if (Array.isArray(node)) return node.forEach(walk);
    if (!node || typeof node !== "object") return undefined;
    if (node.type === "TextBlock") made.append(element("div", node.weight === "Bolder" ? "strong" : "", node.text));
    for (const fact of node.type === "FactSet" ? node.facts || [] : []) made.append(element("div", "", `${fact.title} ${fact.value}`));
    if (String(node.type).startsWith("Action.")) made.append(element("span", "button", node.title));
    return [node.body, node.items, node.columns, node.actions].forEach(walk);
  };
  walk(content);
  return made;
}

function message(item) {
  const made = element("article");
  const edited = item.edits ? ` · edited ${item.edits}×` : "";
  made.append(element("div", "meta", `${item.by} · ${new Date(item.at).toLocaleTimeString()}${edited}`));
  const body = element("div");
  if (item.html === null) {
    body.className = "plain";
    body.textContent = item.text;
  } else body.innerHTML = item.html;
  made.append(body);
  if (item.file) made.append(element("div", "meta", `📎 ${item.file}`));
  if (item.card) made.append(card(item.card));
  return made;
}

function draw(room) {
  const signature = JSON.stringify([room.count, room.messages.map((m) => [m.id, m.edits])]);
  const known = shown.get(room.id);
  if (known && known.signature === signature) return;
  const section = known ? known.section : rooms.appendChild(element("section"));
  const list = element("div", "messages");
  list.tabIndex = 0;
  const byId = new Map();
  for (const item of room.messages) {
    const made = message(item);
    byId.set(item.id, made);
    (byId.get(item.parent) || list).append(made);
  }
  if (!room.messages.length) list.append(element("p", "empty", "nothing yet"));
  const head = element("h2", "", room.title);
  head.append(element("small", "", `${room.type} · ${room.count}`));
  section.replaceChildren(head, list);
  list.scrollTop = list.scrollHeight;
  shown.set(room.id, { section, signature });
}

async function watch() {
  let version = "";
  for (;;) {
    try {
      const answer = await fetch(`sandbox/rooms?after=${version}`);
      const data = await answer.json();
      version = data.version;
      const present = new Set(data.rooms.map((room) => room.id));
      for (const [id, known] of shown) if (!present.has(id)) { known.section.remove(); shown.delete(id); }
      data.rooms.forEach(draw);
      const faults = data.faults.length ? ` · faults: ${JSON.stringify(data.faults)}` : "";
      state.textContent = `${data.rooms.length} rooms${faults}`;
    } catch {
      state.textContent = "the sandbox does not answer; trying again";
      await new Promise((done) => setTimeout(done, 1000));
    }
  }
}
watch();
