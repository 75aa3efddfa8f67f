// Markdown of answers, as elements. What a model writes never becomes markup: every piece of it goes into a text node,
// and elements are made by name here. No regular expression or search runs twice over the same text for the same mark,
// so that hostile text takes no more than its length; quotations and lists nest to a depth.
// Read are: headings, paragraphs, code blocks, lists, quotations, tables, rules; code, emphasis, links, deleted text.

const MOST_NESTED = 10;
const FENCE = /^ {0,3}(`{3,}|~{3,})[ \t]*([^`\s]*)[^`]*$/;
const ITEM = /^( {0,12})([-*+]|\d{1,9}[.)])(?: {1,12}(?=\S)| *$)/;

/** An element with attributes and children; a child is a node or a text. */
function make(name, attributes, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (key in element && typeof value !== "string") element[key] = value;
    else element.setAttribute(key, value);
  }
  element.append(...children);
  return element;
}

const blank = (line) => line.trim() === "";
const isRule = (line) => line.length < 200 && /^ {0,3}([-*_])(?:[ \t]*\1){2,}[ \t]*$/.test(line);
const isHeading = (line) => /^ {0,3}#{1,6}(?:[ \t]|$)/.test(line);
const isQuote = (line) => /^ {0,3}>/.test(line);

function isTable(lines, at) {
  const marks = lines[at + 1];
  return lines[at].includes("|") && marks !== undefined && marks.length < 2000 && marks.includes("|") &&
    marks.includes("-") && /^[ \t|:-]+$/.test(marks);
}

function opensBlock(lines, at) {
  const line = lines[at];
  return FENCE.test(line) || isHeading(line) || isRule(line) || isQuote(line) || ITEM.test(line) || isTable(lines, at);
}

/** The blocks of some lines: {kind, from, to, ...}, each line in one block or blank. */
function readBlocks(lines, depth) {
  const blocks = [];
  let at = 0;
  while (at < lines.length) {
    if (blank(lines[at])) {
      at++;
      continue;
    }
    const block = readBlock(lines, at, depth);
    block.source = lines.slice(at, block.to).join("\n");
    blocks.push(block);
    at = block.to;
  }
  return blocks;
}

function readBlock(lines, at, depth) {
  const line = lines[at];
  const fence = FENCE.exec(line);
  if (fence) return readFence(lines, at, fence);
  if (isHeading(line)) {
    const level = line.trim().match(/^#+/)[0].length;
    return { kind: "heading", to: at + 1, level, text: line.trim().slice(level).replace(/#+$/, "").trim() };
  }
  if (isRule(line)) return { kind: "rule", to: at + 1 };
  if (isQuote(line) && depth < MOST_NESTED) {
    let to = at;
    while (to < lines.length && isQuote(lines[to])) to++;
    const inner = lines.slice(at, to).map((text) => text.replace(/^ {0,3}> ?/, ""));
    return { kind: "quote", to, blocks: readBlocks(inner, depth + 1) };
  }
  if (ITEM.test(line) && depth < MOST_NESTED) return readList(lines, at, depth);
  if (isTable(lines, at)) return readTable(lines, at);
  let to = at + 1;
  while (to < lines.length && !blank(lines[to]) && (depth >= MOST_NESTED || !opensBlock(lines, to))) to++;
  return { kind: "paragraph", to, text: lines.slice(at, to).map((text) => text.trim()).join("\n") };
}

function readFence(lines, at, fence) {
  const mark = fence[1];
  let to = at + 1;
  const closes = (text) => text.startsWith(mark) && text.split(mark[0]).join("") === "";
  while (to < lines.length && !closes(lines[to].trim())) to++;
  const code = lines.slice(at + 1, to).join("\n");
  return { kind: "code", to: Math.min(to + 1, lines.length), code, language: fence[2].slice(0, 30) };
}

function readList(lines, at, depth) {
  const first = ITEM.exec(lines[at]);
  const ordered = /\d/.test(first[2]);
  const items = [];
  let to = at, loose = false;
  while (to < lines.length) {
    const item = ITEM.exec(lines[to]);
    if (!item || /\d/.test(item[2]) !== ordered || isRule(lines[to]) || item[1].length > first[1].length + 3) break;
    const indent = Math.max(2, item[0].length);
    const inner = [lines[to].slice(item[0].length)];
    let end = to + 1;
    for (; end < lines.length; end++) {
      const text = lines[end], spaces = text.search(/\S|$/);
      if (blank(text)) inner.push("");
      else if (spaces >= indent || (spaces >= 2 && spaces > item[1].length)) inner.push(text.slice(Math.min(spaces, indent)));
      else if (!blank(lines[end - 1]) && !opensBlock(lines, end)) inner.push(text.trim()); // a paragraph goes on
      else break;
    }
    to = end;
    while (blank(inner[inner.length - 1]) && inner.length > 1) inner.pop(), end--;
    const another = to < lines.length && ITEM.test(lines[to]);
    if (another && end < to) loose = true;
    items.push(readBlocks(inner, depth + 1));
    if (!another) break;
  }
  return { kind: "list", to, ordered, start: parseInt(first[2], 10) || 0, loose, items };
}

/** The cells of a row; a bar after a backslash or in code is text. */
function readRow(line) {
  const cells = [];
  let cell = "", code = false;
  const text = line.trim().replace(/^\|/, "");
  for (let i = 0; i < text.length; i++) {
    if (text[i] === "\\" && text[i + 1] === "|") cell += text[++i];
    else if (text[i] === "|" && !code) cells.push(cell.trim()), (cell = "");
    else {
      if (text[i] === "`") code = !code;
      cell += text[i];
    }
  }
  if (cell.trim() !== "") cells.push(cell.trim());
  return cells;
}

function readTable(lines, at) {
  const align = readRow(lines[at + 1]).map((mark) =>
    mark.endsWith(":") ? (mark.startsWith(":") ? "center" : "right") : "left");
  let to = at + 2;
  while (to < lines.length && lines[to].includes("|") && !blank(lines[to])) to++;
  const rows = lines.slice(at + 2, to).map(readRow);
  return { kind: "table", to, align, head: readRow(lines[at]), rows };
}

// ------------------------------------------------------------------- inline

/** The address of a link, or null if it is none that a person should be sent to. */
function safeAddress(text) {
  if (!/^(?:https?:\/\/|mailto:)/i.test(text) || text.length > 2000) return null;
  try {
    return new URL(text).href;
  } catch {
    return null;
  }
}

const isWord = (character) => character !== undefined && /[\p{L}\p{N}]/u.test(character);
const isSpace = (character) => character === undefined || /\s/.test(character);

function runLength(text, at) {
  let n = 1;
  while (text[at + n] === text[at]) n++;
  return n;
}

/** Where an emphasis of n marks that opened before `from` ends, or -1; code and escapes are stepped over. */
function closingMark(text, from, mark, n) {
  for (let i = from; i < text.length; i++) {
    if (text[i] === "\\") i++;
    else if (text[i] === "`") {
      const run = runLength(text, i);
      const end = run < 4 ? text.indexOf("`".repeat(run), i + run) : -1;
      if (end < 0) i += run - 1;
      else if (end - i > 4000) return -1;
      else i = end + run - 1;
    } else if (text[i] === mark) {
      const run = runLength(text, i);
      const fits = run === n || (run === 3 && n < 3 && mark !== "~");
      if (fits && i > from && !isSpace(text[i - 1]) && !(mark === "_" && isWord(text[i + run]))) return i + run - n;
      i += run - 1;
    }
  }
  return -1;
}

/** Puts text with its marks into a parent. */
function putInline(parent, text, depth = 0) {
  let plain = "", at = 0;
  const hopeless = new Set(); // marks that close nowhere in the rest
  let bracket = -2; // where the next "](" stands; -1: nowhere
  const flush = () => {
    if (plain) parent.append(plain);
    plain = "";
  };
  const put = (element, to) => {
    flush();
    parent.append(element);
    at = to;
  };
  const span = () => {
    const run = runLength(text, at), mark = text.slice(at, at + run), from = at + run;
    if (run > 20 || hopeless.has(mark)) return false;
    let end = from;
    while ((end = text.indexOf(mark, end)) >= 0 && text[end + run] === "`") end += runLength(text, end);
    if (end < 0) return hopeless.add(mark), false;
    const code = text.slice(from, end);
    put(make("code", null, code.length > 2 && code.startsWith(" ") && code.endsWith(" ") ? code.slice(1, -1) : code), end + run);
    return true;
  };
  const emphasis = () => {
    const mark = text[at], run = runLength(text, at), key = mark + run;
    if (run > 3 || (mark === "~" && run !== 2) || depth > MOST_NESTED || hopeless.has(key)) return false;
    if (isSpace(text[at + run]) || (mark === "_" && isWord(text[at - 1]))) return false;
    const end = closingMark(text, at + run, mark, run);
    if (end < 0) return hopeless.add(key), false;
    const names = mark === "~" ? ["del"] : [["em"], ["strong"], ["strong", "em"]][run - 1];
    const outer = make(names[0]), inner = names[1] ? outer.appendChild(make(names[1])) : outer;
    putInline(inner, text.slice(at + run, end), depth + 1);
    put(outer, end + run);
    return true;
  };
  const link = (open) => {
    if (bracket !== -1 && bracket < open) bracket = text.indexOf("](", open);
    if (bracket < 0 || bracket - open > 1000 || depth > MOST_NESTED) return false;
    const label = text.slice(open + 1, bracket), rest = text.slice(bracket + 2, bracket + 2100);
    const match = /^<?([^\s<>()]*(?:\([^\s<>()]*\)[^\s<>()]*)?)>?(?:[ \t]{1,9}"[^"\n]{0,200}")?\)/.exec(rest);
    const address = match && !label.includes("[") ? safeAddress(match[1]) : null;
    if (!address) return false;
    const anchor = make("a", { href: address, title: address, rel: "noopener noreferrer nofollow", target: "_blank" });
    if (open > at) anchor.append("Image: ");
    putInline(anchor, label.replace(/https?:\/\//g, "") || address, depth + 1);
    put(anchor, bracket + 2 + match[0].length);
    return true;
  };
  const bare = () => {
    const match = /^https?:\/\/[^\s<>"`|*]{1,1000}/.exec(text.slice(at, at + 1010));
    const words = match && match[0].replace(/[.,;:!?)'\]]{1,20}$/, "");
    const address = words && safeAddress(words);
    if (!address || parent.tagName === "A") return false;
    put(make("a", { href: address, rel: "noopener noreferrer nofollow", target: "_blank" }, words), at + words.length);
    return true;
  };
  while (at < text.length) {
    const c = text[at];
    if (c === "\\" && /[!-/:-@[-`{-~]/.test(text[at + 1] || "")) {
      plain += text[at + 1];
      at += 2;
    } else if (c === "`" || c === "*" || c === "_" || c === "~") {
      if (c === "`" ? span() : emphasis()) continue;
      const run = runLength(text, at);
      plain += text.slice(at, at + run);
      at += run;
    } else if (c === "[" && link(at)) continue;
    else if (c === "!" && text[at + 1] === "[" && link(at + 1)) continue;
    else if (c === "h" && text.startsWith("http", at) && bare()) continue;
    else if (c === "<" && /^<br ?\/?>/i.test(text.slice(at, at + 6))) put(make("br"), text.indexOf(">", at) + 1);
    else {
      plain += c;
      at++;
    }
  }
  flush();
}

// ----------------------------------------------------------------- elements

function inlineElement(name, text, attributes) {
  const element = make(name, attributes);
  putInline(element, text);
  return element;
}

function codeElement(block) {
  const button = make("button", { type: "button", class: "quiet small" }, "Copy");
  button.addEventListener("click", () => copyText(block.code, button));
  const bar = make("div", { class: "codebar" }, make("span", null, block.language || "code"), button);
  const code = make("pre", { tabindex: "0", role: "group", "aria-label": "Code" }, make("code", null, block.code));
  return make("div", { class: "code" }, bar, code);
}

function tableElement(block) {
  const row = (cells, name) => make("tr", null, ...block.head.map((_, i) =>
    inlineElement(name, cells[i] || "", block.align[i] && block.align[i] !== "left" ? { class: block.align[i] } : null)));
  const table = make("table", null, make("thead", null, row(block.head, "th")),
    make("tbody", null, ...block.rows.map((cells) => row(cells, "td"))));
  return make("div", { class: "table", tabindex: "0", role: "group", "aria-label": "Table" }, table);
}

function listElement(block) {
  const list = make(block.ordered ? "ol" : "ul");
  if (block.ordered && block.start !== 1) list.setAttribute("start", String(block.start));
  for (const blocks of block.items) {
    const item = make("li");
    for (const inner of blocks) {
      if (inner.kind === "paragraph" && !block.loose) putInline(item.appendChild(make("span", { class: "lines" })), inner.text);
      else item.append(blockElement(inner));
    }
    list.append(item);
  }
  return list;
}

function blockElement(block) {
  switch (block.kind) {
    case "code": return codeElement(block);
    case "heading": return inlineElement("h" + Math.min(6, block.level + 2), block.text);
    case "rule": return make("hr");
    case "quote": return make("blockquote", null, ...block.blocks.map(blockElement));
    case "list": return listElement(block);
    case "table": return tableElement(block);
    default: return inlineElement("p", block.text, { class: "lines" });
  }
}

/** Shows text in a container. Blocks that have not changed since the last call stay as they are, with what is selected
 *  or focused in them: so an answer grows at its end. */
function showMarkdown(container, text) {
  const blocks = readBlocks(text.replace(/\r\n?/g, "\n").replace(/\t/g, "    ").split("\n"), 0);
  const shown = container.shownBlocks || [];
  let same = 0;
  while (same < blocks.length && same < shown.length && shown[same] === blocks[same].kind + blocks[same].source) same++;
  while (container.childNodes.length > same) container.lastChild.remove();
  for (const block of blocks.slice(same)) container.append(blockElement(block));
  container.shownBlocks = blocks.map((block) => block.kind + block.source);
}
