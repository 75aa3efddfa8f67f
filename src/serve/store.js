// What the browser keeps: conversations, settings, and for as long as the tab lives the key. Conversations are stored
// one by one (entrollm.conversation.ID), so that two tabs do not write over each other's. Where the browser keeps
// nothing (storage is off or full) the page goes on in memory and says so.

const PREFIX = "entrollm.";

class Store {
  constructor(onProblem) {
    this.memory = new Map(); // what the browser does not keep
    this.onProblem = onProblem;
  }

  read(key) {
    if (this.memory.has(key)) return this.memory.get(key);
    try {
      const text = localStorage.getItem(PREFIX + key);
      if (text !== null) return JSON.parse(text);
    } catch {
      // no storage, or not our JSON
    }
    return null;
  }

  write(key, value) {
    try {
      localStorage.setItem(PREFIX + key, JSON.stringify(value));
      this.memory.delete(key);
    } catch {
      this.memory.set(key, value);
      this.onProblem("The browser keeps nothing more: its storage for this page is full or switched off. " +
        "What you write now is lost on a reload. Deleting conversations makes room.");
    }
  }

  remove(key) {
    this.memory.delete(key);
    try {
      localStorage.removeItem(PREFIX + key);
    } catch {
      // nothing was kept
    }
  }

  /** All conversations, the last used first. */
  conversations() {
    const keys = new Set([...this.memory.keys()].map((key) => PREFIX + key));
    try {
      for (let i = 0; i < localStorage.length; i++) keys.add(localStorage.key(i));
    } catch {
      // in memory only
    }
    const all = [];
    for (const key of keys) {
      if (!key.startsWith(PREFIX + "conversation.")) continue;
      const conversation = checkConversation(this.read(key.slice(PREFIX.length)));
      if (conversation) all.push(conversation);
    }
    return all.sort((a, b) => b.updated - a.updated);
  }

  save(conversation) {
    this.write("conversation." + conversation.id, conversation);
  }

  delete(conversation) {
    this.remove("conversation." + conversation.id);
  }
}

/** A conversation as it was stored, or null if it is none; an answer that a reload cut is marked as such. */
function checkConversation(value) {
  if (!value || typeof value.id !== "string" || !Array.isArray(value.messages)) return null;
  const good = (m) => m && (m.role === "user" || m.role === "assistant") && typeof m.content === "string";
  value.messages = value.messages.filter(good);
  value.title = typeof value.title === "string" ? value.title : "Conversation";
  value.system = typeof value.system === "string" ? value.system : "";
  value.updated = Number(value.updated) || 0;
  return value;
}

function newConversation(system) {
  const random = new Uint32Array(3);
  crypto.getRandomValues(random);
  const id = [...random].map((n) => n.toString(36)).join("");
  return { id, title: "", named: false, system, updated: Date.now(), messages: [], used: null };
}

/** Settings of a session: in sessionStorage, or in memory where that is off. */
const session = {
  memory: {},
  get(key) {
    try {
      return sessionStorage.getItem(PREFIX + key) ?? "";
    } catch {
      return this.memory[key] || "";
    }
  },
  set(key, value) {
    this.memory[key] = value;
    try {
      if (value) sessionStorage.setItem(PREFIX + key, value);
      else sessionStorage.removeItem(PREFIX + key);
    } catch {
      // kept in memory
    }
  },
};
