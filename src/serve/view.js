// How messages are shown: one element for each, and what can be done with it. The elements are made once and changed in
// place, so that an answer that is being written moves nothing above it. What is done is decided in page.js.

const byId = (id) => document.getElementById(id);

function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", "#i-" + name);
  svg.append(use);
  svg.setAttribute("aria-hidden", "true");
  return svg;
}

function button(text, action, kind = "quiet") {
  const element = make("button", { type: "button", class: kind }, text);
  element.addEventListener("click", action);
  return element;
}

const number = (value, digits = 0) => value.toLocaleString("en", { maximumFractionDigits: digits, minimumFractionDigits: 0 });
const plural = (n, one) => `${number(n)} ${one}${n === 1 ? "" : "s"}`;
const isNumber = (value) => typeof value === "number" && Number.isFinite(value);

function sizeText(bytes) {
  const units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  for (; bytes >= 1024 && unit < 4; unit++) bytes /= 1024;
  return `${number(bytes, unit === 0 ? 0 : bytes < 10 ? 2 : bytes < 100 ? 1 : 0)} ${units[unit]}`;
}

/** Copies a text; the button says how that went. Pages that are not from this machine have no clipboard but the old. */
async function copyText(text, button) {
  let good = true;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = make("textarea", { class: "unseen", "aria-hidden": "true" });
    area.value = text;
    document.body.append(area);
    area.select();
    good = document.execCommand("copy");
    area.remove();
    button.focus();
  }
  button.textContent = good ? "Copied" : "Not copied";
  announce(good ? "Copied" : "Copying failed");
  setTimeout(() => (button.textContent = "Copy"), 2000);
}

let announced = 0;
/** Says something to those who listen rather than look. */
function announce(text) {
  const region = byId("status");
  region.textContent = "";
  clearTimeout(announced);
  announced = setTimeout(() => (region.textContent = text), 60);
}

/** What a model thought before its answer, and the answer: families write thoughts into the text, between marks. */
function parts(message) {
  const text = message.content;
  const open = /^\s*<think>/.exec(text);
  if (!open) return { thought: message.thought || "", text };
  const end = text.indexOf("</think>");
  if (end < 0) return { thought: text.slice(open[0].length), text: "" };
  return { thought: text.slice(open[0].length, end), text: text.slice(end + 8).trimStart() };
}

function statsText(stats) {
  const words = [];
  if (isNumber(stats.tokens)) words.push(plural(stats.tokens, "token"));
  if (isNumber(stats.perSecond)) words.push(`${number(stats.perSecond, 1)} tokens/s`);
  if (isNumber(stats.prompt)) words.push(`prompt ${plural(stats.prompt, "token")}`);
  if (isNumber(stats.seed)) words.push(`seed ${stats.seed}`);
  return words.join(" · ");
}

function countText(n) {
  const [size, unit] = n >= 1e9 ? [1e9, " billion"] : n >= 1e6 ? [1e6, " million"] : [1, ""];
  return number(n / size, n / size < 10 ? 2 : 0) + unit;
}

class MessageView {
  /** actions: {edit(message, text), regenerate()} */
  constructor(message, actions) {
    this.message = message;
    this.actions = actions;
    this.element = make("li", { class: message.role });
    this.name = make("h2", { class: "unseen" }, message.role === "user" ? "You" : "The model");
    this.body = make("div", { class: message.role === "user" ? "text" : "md" });
    this.tools = make("div", { class: "tools" });
    this.note = make("p", { class: "note", hidden: true });
    this.element.append(this.name, this.body, this.note, this.tools);
    this.stats = make("span", { class: "stats" });
    this.again = button("Regenerate", () => actions.regenerate());
    this.buttons = [button("Copy", (event) => copyText(parts(message).text, event.currentTarget)),
      button("Edit", () => this.startEdit())];
    this.update(false, false);
  }

  /** Shows the message as it is now. */
  update(writing, last) {
    const { message } = this;
    if (message.role === "user") this.body.textContent = message.content;
    else this.showAnswer(writing);
    this.note.hidden = !message.note || writing;
    this.note.textContent = message.note || "";
    const tools = writing ? [this.stats] : [...this.buttons];
    if (!writing && message.role === "assistant") tools.push(...(last ? [this.again] : []), this.stats);
    if (tools.length !== this.tools.childNodes.length || tools.some((t, i) => t !== this.tools.childNodes[i])) {
      this.tools.replaceChildren(...tools);
    }
    if (!writing) this.stats.textContent = message.stats ? statsText(message.stats) : "";
    this.element.setAttribute("aria-busy", String(writing));
  }

  showAnswer(writing) {
    const { thought, text } = parts(this.message);
    if (thought.trim() && !this.thought) {
      this.thought = make("details", { class: "thought" }, make("summary", null, "Thoughts"), make("div", { class: "lines" }));
      this.element.insertBefore(this.thought, this.body);
    }
    if (this.thought) {
      this.thought.hidden = !thought.trim();
      this.thought.lastChild.textContent = thought.trim();
    }
    if (writing && text === "") {
      const words = thought ? "Thinking" : "Reading";
      if (this.body.textContent !== words) this.body.replaceChildren(make("p", { class: "waiting" }, words));
      this.body.shownBlocks = null;
    } else if (text === "") {
      this.body.replaceChildren(make("p", { class: "soft" }, "No text."));
      this.body.shownBlocks = null;
    } else {
      if (!this.body.shownBlocks) this.body.replaceChildren();
      showMarkdown(this.body, text);
    }
  }

  startEdit() {
    if (this.form) return;
    const { message } = this, user = message.role === "user";
    const area = make("textarea", { "aria-label": user ? "Edit your message" : "Edit the answer" });
    area.value = message.content;
    const words = make("span", { class: "soft" }, user ? "What follows is answered anew." : "");
    const accept = button(user ? "Send" : "Save", () => this.endEdit(area.value), "primary");
    this.form = make("div", { class: "edit" }, area,
      make("div", { class: "row" }, words, button("Cancel", () => this.endEdit(null), "secondary"), accept));
    for (const part of [this.body, this.tools, this.note, this.thought]) if (part) part.hidden = true;
    this.element.append(this.form);
    area.style.height = Math.min(400, area.scrollHeight + 4) + "px";
    area.focus();
    area.setSelectionRange(area.value.length, area.value.length);
    area.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.endEdit(null);
      else if (user && event.key === "Enter" && !event.shiftKey && !composing(event)) this.endEdit(area.value);
      else return;
      event.preventDefault();
      event.stopPropagation();
    });
  }

  endEdit(text) {
    this.form.remove();
    this.form = null;
    for (const part of [this.body, this.tools, this.thought]) if (part) part.hidden = false;
    this.note.hidden = !this.message.note;
    this.buttons[1].focus();
    if (text !== null && text.trim() !== "") this.actions.edit(this.message, text);
  }
}
