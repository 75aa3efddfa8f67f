// What is said to the server: its answers as values, its failures in words that a person can act on.

/** kind: "key", "busy", "gone", "context", "broken" (cut while it was read), or "other". */
class Failure extends Error {
  constructor(kind, words, wait = 0) {
    super(words);
    this.kind = kind;
    this.wait = wait; // seconds that the server asks to wait
  }
}

function requestHeaders() {
  const headers = { "Content-Type": "application/json" };
  const key = session.get("key");
  if (key) headers.Authorization = "Bearer " + key;
  return headers;
}

/** What a response that is no success says. */
async function readFailure(response) {
  let error = {};
  try {
    error = (await response.json()).error || {};
  } catch {
    // no JSON: the status alone speaks
  }
  if (typeof error === "string") error = { message: error };
  const said = typeof error.message === "string" && error.message ? error.message : "";
  const ended = said && !/[.!?]$/.test(said) ? said + "." : said;
  const wait = Math.min(3600, Math.max(0, parseInt(response.headers.get("Retry-After"), 10) || 0));
  const status = response.status;
  if (status === 401 || status === 403) {
    return new Failure("key", session.get("key") ? "The server does not accept this key." : "The server asks for a key.");
  }
  if (status === 429) {
    const later = wait ? ` It asks to wait ${wait} ${wait === 1 ? "second" : "seconds"}.` : "";
    return new Failure("busy", "The server is busy: all its places are taken." + later, wait);
  }
  if (error.code === "context_length_exceeded" || /context/i.test(said) && status === 400) {
    return new Failure("context", "The conversation no longer fits the model’s context. Shorten or edit an earlier " +
      "message, or start a new conversation. " + (ended && `The server says: ${ended}`));
  }
  if (status === 503) return new Failure("busy", "The server takes no requests at the moment. " + ended, wait);
  if (status === 413) return new Failure("context", "The conversation is too long to be sent. " + ended);
  return new Failure("other", ended ? `The server says: ${ended}` : `The server answers with status ${status}.`);
}

async function request(path, options = {}) {
  let response;
  try {
    response = await fetch(path, { cache: "no-store", headers: requestHeaders(), ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Failure("gone", `The server at ${location.host} does not answer. Is it still running?`);
  }
  if (!response.ok) throw await readFailure(response);
  return response;
}

async function requestJson(path) {
  const response = await request(path);
  try {
    return await response.json();
  } catch {
    throw new Failure("other", `What the server sends for ${path} cannot be read.`);
  }
}

/** The data of server-sent events, one after the other, from a body that comes in any pieces. */
async function* readEvents(body) {
  const reader = body.getReader(), decoder = new TextDecoder();
  let rest = "", data = [];
  try {
    for (;;) {
      const { done, value } = await reader.read();
      rest += value ? decoder.decode(value, { stream: true }) : "";
      const lines = rest.split("\n");
      rest = lines.pop();
      for (const raw of lines) {
        const line = raw.endsWith("\r") ? raw.slice(0, -1) : raw;
        if (line.startsWith("data:")) data.push(line.slice(line[5] === " " ? 6 : 5));
        else if (line === "" && data.length) {
          yield data.join("\n");
          data = [];
        }
      }
      if (done) return;
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

/** One answer, streamed. `piece` is called with each chunk; a stream that ends before its end is a failure. */
async function streamChat(body, signal, piece) {
  const text = JSON.stringify({ ...body, stream: true, stream_options: { include_usage: true } });
  const response = await request("v1/chat/completions", { method: "POST", body: text, signal });
  const broken = () => new Failure("broken", "The connection broke before the answer was complete.");
  try {
    for await (const event of readEvents(response.body)) {
      if (event === "[DONE]") return;
      let chunk;
      try {
        chunk = JSON.parse(event);
      } catch {
        throw new Failure("broken", "The server sent something that cannot be read, and the answer ends here.");
      }
      if (chunk.error) {
        const said = typeof chunk.error === "string" ? chunk.error : chunk.error.message || "an error";
        throw new Failure("other", `The server ended the answer: ${said}`);
      }
      piece(chunk);
    }
  } catch (error) {
    if (error instanceof Failure || error.name === "AbortError") throw error;
    throw broken();
  }
  throw broken();
}
