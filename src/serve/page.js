// What the page does: one conversation is shown, each may have an answer on its way, and both are kept in the browser.
// State lies here; elements of messages in view.js, words to and from the server in client.js.

const SAMPLING = [
  { key: "temperature", label: "Temperature", min: 0, max: 10, step: "any" },
  { key: "top_p", label: "Top p", min: 0, max: 1, step: "any" },
  { key: "top_k", label: "Top k", min: 0, max: 1000000, step: 1 },
  { key: "min_p", label: "Min p", min: 0, max: 1, step: "any" },
  { key: "repeat_penalty", label: "Repeat penalty", min: 0.01, max: 10, step: "any" },
  { key: "max_tokens", label: "Longest answer", min: 1, max: 10000000, step: 1, empty: "no limit" },
  { key: "seed", label: "Seed", min: 0, max: Number.MAX_SAFE_INTEGER, step: 1, empty: "random" },
];

let storageTold = false;
const store = new Store((words) => {
  if (storageTold) return;
  storageTold = true;
  byId("kept").textContent = words;
  announce(words);
});
const settings = Object.assign({ system: "", sampling: {} }, store.read("settings"));
if (!settings.sampling || typeof settings.sampling !== "object") settings.sampling = {};
const streams = new Map(); // by the id of a conversation: the answer on its way
const failures = new Map(); // by the id of a conversation: {failure, retry}
const views = new Map(); // by message, of the conversation that is shown
let props = null, current = null, following = true, leaving = false, unreached = false, health = 0, removed = null, toast = 0;

// ------------------------------------------------------------------- colours

const systemDark = matchMedia("(prefers-color-scheme: dark)");

function applyTheme() {
  const chosen = store.read("theme"), dark = chosen ? chosen === "dark" : systemDark.matches;
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  const switcher = byId("theme");
  if (!switcher) return; // before the page is there
  switcher.setAttribute("aria-label", dark ? "Switch to light" : "Switch to dark");
  switcher.querySelector("use").setAttribute("href", dark ? "#i-sun" : "#i-moon");
  for (const radio of document.getElementsByName("appearance")) radio.checked = radio.value === (chosen || "");
}

function chooseTheme(theme) {
  if (theme) store.write("theme", theme);
  else store.remove("theme");
  applyTheme();
}

applyTheme();
systemDark.addEventListener("change", applyTheme);

// --------------------------------------------------------------- what is served

const percent = (share) => `${number(share * 100, share > 0.99 ? 2 : 1)} %`;

const lossNumber = (value) => (value >= 0.1 ? number(value, 2) : value === 0 ? "0" : String(Number(value.toPrecision(2))));

function lossText(file) {
  const words = [];
  if (isNumber(file.divergence)) words.push(`divergence ${lossNumber(file.divergence)} nats per token`);
  if (isNumber(file.same_top)) words.push(`the same first token in ${percent(file.same_top)} of cases`);
  return words.join("; ");
}

function showProps() {
  const file = props.file || {}, name = props.model || "Model";
  document.title = `${name} · EntroLLM`;
  byId("model").textContent = byId("welcome-model").textContent = name;
  const size = isNumber(file.bytes) ? sizeText(file.bytes) : null;
  const bits = isNumber(file.bits_a_weight) ? number(file.bits_a_weight, 2) : null;
  const loss = isNumber(file.divergence) ? lossNumber(file.divergence) : null;
  const same = isNumber(file.same_top) ? percent(file.same_top) : null;
  byId("facts").textContent = [size, bits && `${bits} bits per weight`, loss && `divergence ${loss}`].filter(Boolean).join(" · ");
  const context = isNumber(props.context) ? plural(props.context, "token") : null;
  const facts = [["Size", size], ["Bits a weight", bits], ["Divergence (nats)", loss], ["Same first token", same],
    ["Weights", isNumber(props.parameters) && countText(props.parameters)], ["Context", context]];
  byId("welcome-facts").replaceChildren(...facts.filter((fact) => fact[1]).slice(0, 4).map(([term, words]) =>
    make("div", null, make("dt", null, term), make("dd", null, words))));
  byId("welcome-words").textContent = typeof file.words === "string" && file.words ? file.words : same ?
    `Its likeliest next token is the original’s in ${same} of cases.` : "Write a message to begin.";
  byId("coded-words").hidden = !bits;
  byId("welcome").classList.remove("waiting");
  byId("welcome").hidden = current.messages.length > 0;
  const rows = [["Model", name], ["Size", size && `${size} (${number(file.bytes)} bytes)`], ["Bits a weight", bits],
    ["Expected loss against the original", lossText(file) || "not recorded in this file"], ["In words", file.words],
    ["Weights", isNumber(props.parameters) && number(props.parameters)], ["Context of a conversation", context],
    ["Conversations at a time", isNumber(props.parallel) && number(props.parallel)],
    ["Served by", props.version && `EntroLLM ${props.version}`]];
  byId("about-facts").replaceChildren(...rows.filter((row) => row[1]).map(([term, words]) =>
    make("div", null, make("dt", null, term), make("dd", null, String(words)))));
  for (const input of byId("sampling").querySelectorAll("input")) {
    const value = (props.sampling || {})[input.name];
    if (isNumber(value)) input.placeholder = String(+value.toFixed(4));
  }
  if (props.chat_template === false) {
    putNotice(make("div", null, "This file has no chat template, so it cannot hold a conversation. Programs can have it " +
      "go on with a text, by POST /v1/completions."));
  }
  showContext();
}

async function loadProps() {
  try {
    props = await requestJson("props");
    unreached = false;
    showProps();
    return true;
  } catch (failure) {
    unreached = true;
    byId("welcome").hidden = true; // there is nothing to say of the model
    showFailure(failure, () => start());
    return false;
  }
}

async function start() {
  clearNotice();
  if (await loadProps()) showOwnFailure();
}

// -------------------------------------------------------------------- notices

function clearNotice() {
  byId("notice").replaceChildren();
}

function putNotice(...elements) {
  byId("notice").replaceChildren(...elements);
  follow();
}

function keyForm(retry) {
  const input = make("input", { type: "password", id: "asked-key", autocomplete: "off", spellcheck: "false" });
  const accept = () => {
    if (!input.value.trim()) return input.focus();
    setKey(input.value);
    clearNotice();
    byId("message").focus();
    if (!props) start();
    else if (retry) retry();
  };
  const form = make("form", null, make("label", { for: "asked-key" }, "Key"),
    make("div", { class: "row" }, input, make("button", { type: "submit", class: "primary" }, "Use the key")));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    accept();
  });
  setTimeout(() => input.focus());
  return form;
}

function setKey(text) {
  session.set("key", text.trim());
  byId("key").value = text.trim();
}

/** Shows what went wrong and what can be done; `retry` does it again. */
function showFailure(failure, retry) {
  const box = make("div", null, make("p", null, failure.message));
  if (failure.kind === "key") box.append(keyForm(retry));
  else {
    const row = make("div", { class: "row" });
    if (retry && failure.kind !== "context") row.append(button("Try again", retry, "secondary"));
    if (failure.kind === "context") row.append(button("New conversation", () => openNew(), "secondary"));
    if (row.childNodes.length) box.append(row);
  }
  putNotice(box);
  if (failure.kind === "gone") watchHealth(retry);
}

/** Asks every few seconds whether a server that was gone is there again. */
function watchHealth(retry) {
  clearInterval(health);
  health = setInterval(async () => {
    try {
      if (!(await fetch("health", { cache: "no-store" })).ok) return;
    } catch {
      return;
    }
    clearInterval(health);
    for (const [id, failed] of failures) if (failed.failure.kind === "gone") failures.delete(id);
    if (!props) return start();
    putNotice(make("div", null, make("p", null, "The server answers again."),
      make("div", { class: "row" }, button("Try again", retry, "secondary"))));
  }, 2500);
}

function showOwnFailure() {
  if (props && props.chat_template === false) return;
  const own = failures.get(current.id), last = current.messages[current.messages.length - 1];
  clearNotice();
  if (own) showFailure(own.failure, own.retry);
  else if (last && last.role === "user" && !streams.has(current.id)) {
    putNotice(make("div", null, make("p", null, "This message has no answer."),
      make("div", { class: "row" }, button("Answer it", () => answer(current), "secondary"))));
  }
}

// --------------------------------------------------------------- conversation

const actions = {
  edit(message, text) {
    const at = current.messages.indexOf(message);
    if (at < 0) return;
    message.content = text;
    if (message.role === "user") {
      stop(current);
      current.messages.length = at + 1;
      if (at === 0 && !current.named) current.title = titleOf(text);
      answer(current);
    } else {
      message.note = "Edited.";
      message.stats = null;
      keep(current);
    }
    showMessages();
  },
  regenerate() {
    if (streams.has(current.id)) return;
    const last = current.messages[current.messages.length - 1];
    if (last && last.role === "assistant") current.messages.pop();
    answer(current);
  },
};

const titleOf = (text) => text.trim().replace(/\s+/g, " ").slice(0, 60) || "Conversation";

/** Elements for the messages of the conversation that is shown; those that have one keep it. */
function showMessages() {
  const stream = streams.get(current.id), list = byId("messages"), { messages } = current;
  for (const [message, view] of views) {
    if (messages.includes(message)) continue;
    view.element.remove();
    views.delete(message);
  }
  messages.forEach((message, i) => {
    if (!views.has(message)) views.set(message, new MessageView(message, actions));
    const view = views.get(message);
    if (list.childNodes[i] !== view.element) list.insertBefore(view.element, list.childNodes[i] || null);
    view.update(Boolean(stream && stream.message === message), i === messages.length - 1);
  });
  byId("welcome").hidden = messages.length > 0 || unreached;
  const system = current.system.trim();
  byId("system-shown").hidden = !system;
  byId("system-text").textContent = system;
  showSend();
  showContext();
  follow();
}

function showSend() {
  const writing = streams.has(current.id), send = byId("send"), label = writing ? "Stop" : "Send";
  if (send.getAttribute("aria-label") === label) return;
  send.setAttribute("aria-label", label);
  send.querySelector("use").setAttribute("href", writing ? "#i-stop" : "#i-send");
}

function showContext() {
  const total = props && isNumber(props.context) ? props.context : null, used = current.used || 0;
  byId("context-text").textContent = total ? `Context ${number(used)} of ${number(total)}` : "";
  byId("meter").hidden = !total;
  byId("meter-bar").style.width = total ? `${Math.min(100, (used / total) * 100)}%` : "0";
  byId("context").classList.toggle("full", Boolean(total) && used > total * 0.9);
}

/** Stays at the end while an answer grows, unless somebody has gone up to read. */
function follow() {
  const log = byId("log");
  if (following) log.scrollTop = log.scrollHeight;
  byId("latest").hidden = log.scrollHeight - log.scrollTop - log.clientHeight < 80;
}

function keep(conversation) {
  conversation.updated = Date.now();
  if (conversation.messages.length) store.save(conversation);
}

function open(conversation) {
  for (const message of conversation.messages) {
    const written = streams.has(conversation.id) && streams.get(conversation.id).message === message;
    if (message.open && !written) {
      message.open = false;
      message.note = "The page was closed or reloaded before the answer was complete.";
    }
  }
  current = conversation;
  session.set("current", conversation.id);
  views.clear();
  byId("messages").replaceChildren();
  byId("system").value = conversation.system;
  following = true;
  showMessages();
  if (props || failures.has(conversation.id)) showOwnFailure();
  showList();
}

function openNew() {
  const empty = current && current.messages.length === 0;
  open(empty ? current : newConversation(settings.system));
  toggleHistory(false);
  byId("message").focus();
}

// --------------------------------------------------------------------- answers

/** The messages as they are sent: thoughts are left out, and what was said twice without an answer is one message. */
function requestMessages(conversation) {
  const messages = conversation.system.trim() ? [{ role: "system", content: conversation.system.trim() }] : [];
  for (const message of conversation.messages) {
    const content = message.role === "assistant" ? parts(message).text : message.content;
    const last = messages[messages.length - 1];
    if (!content) continue;
    if (last && last.role === message.role) last.content += "\n\n" + content;
    else messages.push({ role: message.role, content });
  }
  return messages;
}

function requestSampling() {
  const values = {};
  for (const { key, min, max, step } of SAMPLING) {
    const value = settings.sampling[key];
    if (isNumber(value) && value >= min && value <= max && (step === "any" || Number.isInteger(value))) values[key] = value;
  }
  return values;
}

function takeChunk(stream, chunk) {
  const { message } = stream, choice = (chunk.choices || [])[0], delta = (choice && choice.delta) || {};
  if (delta.content || delta.reasoning_content) {
    stream.first = stream.first || performance.now();
    stream.count++;
    if (delta.content) message.content += delta.content;
    if (delta.reasoning_content) message.thought = (message.thought || "") + delta.reasoning_content;
  }
  if (choice && choice.finish_reason) stream.reason = choice.finish_reason;
  if (isNumber(chunk.seed)) stream.seed = chunk.seed;
  if (chunk.usage) stream.usage = chunk.usage;
  if (chunk.timings) stream.timings = chunk.timings;
  if (!stream.frame) {
    stream.frame = requestAnimationFrame(() => {
      stream.frame = 0;
      showGrowth(stream);
    });
  }
  if (performance.now() - stream.kept > 1000) {
    stream.kept = performance.now();
    keep(stream.conversation);
  }
}

function showGrowth(stream) {
  const view = views.get(stream.message), seconds = (performance.now() - stream.first) / 1000;
  if (!view || streams.get(stream.conversation.id) !== stream) return;
  view.update(true, true);
  if (seconds > 0.5) view.stats.textContent = `${plural(stream.count, "token")} · ${number(stream.count / seconds, 1)} tokens/s`;
  follow();
}

async function answer(conversation) {
  const message = { role: "assistant", content: "", open: true };
  const stream = { conversation, message, controller: new AbortController(), count: 0, first: 0, kept: performance.now(), frame: 0 };
  failures.delete(conversation.id);
  conversation.messages.push(message);
  streams.set(conversation.id, stream);
  const body = { messages: requestMessages(conversation), ...requestSampling() };
  keep(conversation);
  if (conversation === current) {
    clearNotice();
    following = true;
    showMessages();
  }
  showList();
  announce("The answer is being written");
  let failure = null;
  try {
    await streamChat(body, stream.controller.signal, (chunk) => takeChunk(stream, chunk));
  } catch (error) {
    failure = error;
  }
  finish(stream, failure);
}

/** An answer has ended: as it should, stopped, or by a failure. */
function finish(stream, failure) {
  const { conversation, message } = stream, stopped = failure && failure.name === "AbortError";
  cancelAnimationFrame(stream.frame);
  if (leaving) return; // what came is kept, and marked as not complete
  if (streams.get(conversation.id) === stream) streams.delete(conversation.id);
  message.open = false;
  const timings = stream.timings || {}, usage = stream.usage || {};
  const seconds = (performance.now() - stream.first) / 1000;
  message.stats = {
    tokens: usage.completion_tokens ?? stream.count,
    perSecond: timings.tokens_per_s ?? (stream.count > 1 ? stream.count / seconds : null),
    prompt: usage.prompt_tokens,
    seed: stream.seed,
  };
  const used = timings.context_used ?? (usage.prompt_tokens + usage.completion_tokens);
  if (isNumber(used)) conversation.used = used;
  if (stopped) message.note = "Stopped.";
  else if (failure) message.note = "Not complete.";
  else message.note = endNote(stream.reason, conversation);
  const words = parts(message).text, at = conversation.messages.indexOf(message);
  if (!words && !parts(message).thought && failure && at >= 0) conversation.messages.splice(at, 1);
  if (at < 0) return; // edited away meanwhile
  if (failure && !stopped) {
    if (!(failure instanceof Failure)) failure = new Failure("other", `The page failed: ${failure.message}`);
    failures.set(conversation.id, { failure, retry: () => retryAnswer(conversation) });
  }
  if (!removed || removed.every((one) => one.id !== conversation.id)) keep(conversation);
  if (conversation === current) {
    showMessages();
    showOwnFailure();
  }
  showList();
  if (!failure) announce((views.get(message) ? views.get(message).body.innerText : words).slice(0, 3000));
  else if (stopped) announce("Stopped");
}

/** Why an answer ended where its model would have gone on. */
function endNote(reason, conversation) {
  const total = props && props.context;
  if (reason === "timeout") return "The answer ends here: it took as long as the server allows.";
  if (reason === "shutdown") return "The answer ends here: the server was about to end.";
  if (reason !== "length") return "";
  if (total && conversation.used >= total - 1) return "The answer ends here: the context is full.";
  return "The answer ends here: it has reached the most tokens allowed.";
}

function retryAnswer(conversation) {
  if (streams.has(conversation.id)) return;
  const last = conversation.messages[conversation.messages.length - 1];
  if (last && last.role === "assistant") conversation.messages.pop();
  answer(conversation);
}

function stop(conversation) {
  const stream = streams.get(conversation.id);
  if (!stream) return;
  streams.delete(conversation.id);
  stream.controller.abort();
}

function send() {
  const field = byId("message"), text = field.value;
  if (streams.has(current.id)) return announce("An answer is being written. Escape stops it.");
  if (!text.trim() || (props && props.chat_template === false)) return;
  field.value = "";
  fitMessage();
  current.messages.push({ role: "user", content: text.trim() });
  if (!current.title) current.title = titleOf(text);
  answer(current);
}

// --------------------------------------------------------------------- history

function showList() {
  const active = document.activeElement, held = active && active.closest && active.closest("#list li");
  const kind = held && active.dataset.kind;
  if (held && active.tagName === "INPUT") return; // somebody is giving a name
  const items = store.conversations().map((stored) => {
    const item = make("li", { "data-id": stored.id });
    const opener = button(stored.title, () => {
      const stream = streams.get(stored.id);
      if (stored.id !== current.id) open(stream ? stream.conversation : stored);
      toggleHistory(false);
    }, "open");
    const rename = button(icon("pen"), () => startRename(item, stored), "icon");
    const remove = button(icon("bin"), () => removeConversations([stored]), "icon");
    rename.setAttribute("aria-label", `Rename ${stored.title}`);
    remove.setAttribute("aria-label", `Delete ${stored.title}`);
    [opener, rename, remove].forEach((element, i) => (element.dataset.kind = ["open", "rename", "remove"][i]));
    opener.title = stored.title;
    if (stored.id === current.id) {
      item.classList.add("current");
      opener.setAttribute("aria-current", "true");
    }
    item.classList.toggle("writing", streams.has(stored.id));
    item.append(opener, rename, remove);
    return item;
  });
  byId("list").replaceChildren(...items);
  const again = held && items.find((item) => item.dataset.id === held.dataset.id);
  if (again) again.querySelector(`[data-kind="${kind}"]`).focus();
}

function startRename(item, stored) {
  const input = make("input", { type: "text", "aria-label": `New name of ${stored.title}`, maxlength: "100" });
  let ended = false;
  const end = (accept) => {
    if (ended) return;
    ended = true;
    const title = input.value.trim(), target = stored.id === current.id ? current : streams.get(stored.id)?.conversation || stored;
    const focused = document.activeElement === input;
    if (accept && title) {
      target.title = title;
      target.named = true;
      store.save(target);
    }
    input.remove();
    showList();
    if (focused) byId("list").querySelector(`[data-id="${stored.id}"] [data-kind="rename"]`)?.focus();
  };
  input.value = stored.title;
  input.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== "Escape") return;
    event.preventDefault();
    event.stopPropagation();
    end(event.key === "Enter");
  });
  input.addEventListener("blur", () => end(true));
  item.replaceChildren(input);
  input.focus();
  input.select();
}

/** Deletes conversations; for a while that can be undone. */
function removeConversations(conversations) {
  removed = conversations;
  for (const conversation of conversations) {
    const stream = streams.get(conversation.id);
    if (stream) stop(conversation);
    failures.delete(conversation.id);
    store.delete(conversation);
  }
  const words = conversations.length === 1 ? `Deleted “${conversations[0].title.slice(0, 40)}”` : `Deleted ${conversations.length} conversations`;
  byId("toast-text").textContent = words;
  byId("toast").hidden = false;
  announce(`${words}. The button Undo at the end of the page brings it back.`);
  clearTimeout(toast);
  toast = setTimeout(endToast, 12000);
  if (conversations.some((one) => one.id === current.id)) open(newConversation(settings.system));
  else showList();
  byId("new").focus();
}

function endToast() {
  byId("toast").hidden = true;
  removed = null;
}

function undoRemoval() {
  const back = removed || [];
  endToast();
  for (const conversation of back) store.save(conversation);
  if (back.length === 1) open(back[0]);
  showList();
  byId("message").focus();
}

function toggleHistory(show) {
  const narrow = getComputedStyle(byId("open-history")).display !== "none";
  const was = byId("app").classList.contains("listed");
  byId("app").classList.toggle("listed", show && narrow);
  byId("open-history").setAttribute("aria-expanded", String(show && narrow));
  byId("main").inert = show && narrow;
  if (show && narrow) byId("close-history").focus();
  else if (was && !show) byId("open-history").focus();
}

// -------------------------------------------------------------------- settings

function makeSampling() {
  for (const { key, label, min, max, step, empty } of SAMPLING) {
    const id = "set-" + key;
    const input = make("input", { type: "number", id, name: key, min: String(min), max: String(max), step: String(step),
      inputmode: step === 1 ? "numeric" : "decimal", placeholder: empty || "", autocomplete: "off" });
    if (isNumber(settings.sampling[key])) input.value = String(settings.sampling[key]);
    input.addEventListener("input", () => {
      if (input.value === "" || !input.checkValidity()) delete settings.sampling[key];
      else settings.sampling[key] = Number(input.value);
      store.write("settings", settings);
    });
    byId("sampling").append(make("div", null, make("label", { for: id }, label), input));
  }
}

function wireSettings() {
  makeSampling();
  byId("reset").addEventListener("click", () => {
    settings.sampling = {};
    store.write("settings", settings);
    for (const input of byId("sampling").querySelectorAll("input")) input.value = "";
  });
  byId("system").addEventListener("input", () => {
    current.system = settings.system = byId("system").value;
    store.write("settings", settings);
    if (current.messages.length) store.save(current);
    showMessages();
  });
  byId("key").value = session.get("key");
  byId("key").form.addEventListener("submit", (event) => event.preventDefault());
  byId("key").addEventListener("change", () => {
    setKey(byId("key").value);
    start();
  });
  for (const radio of document.getElementsByName("appearance")) radio.addEventListener("change", () => chooseTheme(radio.value));
  byId("theme").addEventListener("click", () => chooseTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark"));
  const deleteAll = byId("delete-all"), words = deleteAll.textContent;
  deleteAll.addEventListener("click", () => {
    const all = store.conversations();
    if (!all.length) return announce("There are none");
    if (deleteAll.textContent === words) return (deleteAll.textContent = `Press again to delete ${plural(all.length, "conversation")}`);
    deleteAll.textContent = words;
    byId("settings").close();
    removeConversations(all);
  });
  deleteAll.addEventListener("blur", () => (deleteAll.textContent = words));
  for (const name of ["settings", "about"]) {
    const dialog = byId(name), opener = byId("open-" + name);
    opener.addEventListener("click", () => dialog.showModal());
    dialog.querySelector("[data-close]").addEventListener("click", () => dialog.close());
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
    dialog.addEventListener("close", () => dialog.isConnected && document.activeElement === document.body && opener.focus());
  }
}

// ------------------------------------------------------------------------ start

/** The field is as high as what is written in it, to a limit of the style. */
function fitMessage() {
  const field = byId("message");
  field.style.height = "auto";
  field.style.height = field.scrollHeight + "px";
  follow();
}

/** Is a character being put together? Then Enter belongs to that. (Safari says so by the key code alone.) */
const composing = (event) => event.isComposing || event.keyCode === 229;
const touchOnly = () => matchMedia("(hover: none) and (pointer: coarse)").matches;

function wireComposer() {
  const field = byId("message");
  const touch = touchOnly(); // no Shift there: Enter begins a line
  field.enterKeyHint = touch ? "enter" : "send";
  field.addEventListener("input", fitMessage);
  field.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || composing(event) || (touch && !event.ctrlKey)) return;
    event.preventDefault();
    send();
  });
  byId("form").addEventListener("submit", (event) => {
    event.preventDefault();
    if (streams.has(current.id)) stop(current);
    else send();
    if (touchOnly()) field.blur(); // the keyboard leaves, the answer is seen
    else field.focus();
  });
  byId("log").addEventListener("scroll", () => {
    const log = byId("log");
    following = log.scrollHeight - log.scrollTop - log.clientHeight < 48;
    if (following) byId("latest").hidden = true;
  }, { passive: true });
  byId("latest").addEventListener("click", () => {
    following = true;
    follow();
    field.focus();
  });
}

function wireWindow() {
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || event.defaultPrevented || document.querySelector("dialog[open]")) return;
    if (byId("app").classList.contains("listed")) toggleHistory(false);
    else if (streams.has(current.id)) stop(current);
  });
  addEventListener("pageshow", () => (leaving = false));
  addEventListener("pagehide", () => {
    leaving = true;
    for (const stream of streams.values()) keep(stream.conversation);
  });
  addEventListener("storage", (event) => { // another tab
    if (event.key && event.key.startsWith(PREFIX + "theme")) applyTheme();
    if (event.key && !event.key.startsWith(PREFIX + "conversation.")) return;
    if (event.key === `${PREFIX}conversation.${current.id}` && event.newValue && !streams.has(current.id) &&
        !document.querySelector(".edit")) {
      const stored = checkConversation(store.read("conversation." + current.id));
      if (stored && !stored.messages.some((message) => message.open)) return open(stored);
    }
    showList();
  });
  addEventListener("resize", () => {
    if (getComputedStyle(byId("open-history")).display === "none") toggleHistory(false);
    fitMessage();
  });
}

document.addEventListener("DOMContentLoaded", () => {
  applyTheme();
  wireSettings();
  wireComposer();
  wireWindow();
  byId("new").addEventListener("click", openNew);
  byId("open-history").addEventListener("click", () => toggleHistory(true));
  byId("close-history").addEventListener("click", () => toggleHistory(false));
  byId("scrim").addEventListener("click", () => toggleHistory(false));
  byId("undo").addEventListener("click", undoRemoval);
  const stored = checkConversation(store.read("conversation." + session.get("current")));
  open(stored || newConversation(settings.system));
  if (!touchOnly()) byId("message").focus(); // there it would open the keyboard
  start();
});
