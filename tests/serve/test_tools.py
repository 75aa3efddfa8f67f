#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tools: a small model that is made to write calls answers through a template that has a place for them."""

from serve_testing import *

TEMPLATE = (
    "{% if tools %}<|im_start|>system\n{% for t in tools %}{{ t | tojson }}\n{% endfor %}<|im_end|>\n{% endif %}"
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}"
    "{% for c in m.tool_calls or [] %}<tool_call>{{ c.function.arguments.city }}</tool_call>{% endfor %}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}")
folder = copy_model("with-tools")
with open(os.path.join(folder, "chat_template.jinja"), "w") as f:
    f.write(TEMPLATE)
TOOLS = [{"type": "function", "function": {"name": "weather", "description": "of a city", "parameters": {
    "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}]
server = Server(model=folder)
user = [{"role": "user", "content": "How is it in Rome?"}]
text = server.post("/apply-template", {"messages": user, "tools": TOOLS})[1]["prompt"]
ok('"name": "weather"' in text and text.startswith("<|im_start|>system"), "tools are rendered by the template", text)
equal("weather" in server.post("/apply-template",
                               {"messages": user, "tools": TOOLS, "tool_choice": "none"})[1]["prompt"],
      False, "but not with tool_choice none")
history = user + [{"role": "assistant", "content": None, "tool_calls": [
    {"id": "a", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Rome"}'}}]},
    {"role": "tool", "tool_call_id": "a", "content": "sunny"}]
text = server.post("/apply-template", {"messages": history, "tools": TOOLS})[1]["prompt"]
ok("<tool_call>Rome</tool_call>" in text and "tool\nsunny" in text, "arguments are an object to the template", text)
status, got = server.post("/v1/chat/completions", {"messages": user, "tools": TOOLS, "max_tokens": 20, "seed": 1})
choice = got["choices"][0]
ok(status == 200 and "tool_calls" not in choice["message"] and choice["message"]["content"], "an answer without a call",
   got)
events = server.events("/v1/chat/completions", {"messages": user, "tools": TOOLS, "max_tokens": 20, "seed": 1})
equal("".join(e["choices"][0]["delta"].get("content", "") for e in events[:-1]), choice["message"]["content"],
      "the same as a stream")
ok(len(events) > 10, "as it comes", len(events))
logged = {"messages": user, "tools": TOOLS, "max_tokens": 20, "seed": 1, "logprobs": True, "top_logprobs": 2}
events = server.events("/v1/chat/completions", logged)
parts = [t for e in events[:-1] for t in (e["choices"][0]["logprobs"] or {}).get("content", [])]
equal(parts, server.post("/v1/chat/completions", logged)[1]["choices"][0]["logprobs"]["content"],
      "with log-probabilities")


def calls(message):
    return [(c["function"]["name"], json.loads(c["function"]["arguments"])) for c in message.get("tool_calls") or []]


TOOLS.append({"type": "function", "function": {"name": "add", "parameters": {
    "type": "object", "properties": {"both": {"type": "boolean"}}, "required": ["both"],
    "additionalProperties": False}}})
TOOLS[0]["function"]["parameters"]["properties"]["city"]["maxLength"] = 10
TOOLS[0]["function"]["parameters"]["additionalProperties"] = False
for choice, names in (("required", {"weather", "add"}), ({"type": "function", "function": {"name": "add"}}, {"add"})):
    body = {"messages": user, "tools": TOOLS, "tool_choice": choice, "max_tokens": 100, "seed": 4, "temperature": 1.2}
    status, got = server.post("/v1/chat/completions", body)
    made = calls(got["choices"][0]["message"])
    ok(status == 200 and len(made) == 1 and made[0][0] in names and set(made[0][1]) <= {"city", "both"}
       and got["choices"][0]["finish_reason"] == "tool_calls", f"tool_choice {choice}: a call", got)
    events = server.events("/v1/chat/completions", body)[:-1]
    deltas = [e["choices"][0]["delta"] for e in events]
    parts = [d["tool_calls"][0] for d in deltas if d.get("tool_calls")]
    whole = {"tool_calls": [dict(parts[0], function={"name": parts[0]["function"]["name"], "arguments": "".join(
        p["function"]["arguments"] for p in parts)})]} if parts else {}
    ok(calls(whole) == made and {p["index"] for p in parts} == {0} and not any(d.get("content") for d in deltas)
       and events[-1]["choices"][0]["finish_reason"] == "tool_calls", "the same as a stream", deltas)
    ok(len(parts) > 2 and parts[0]["id"] and parts[0]["type"] == "function" and parts[0]["function"]["arguments"] == ""
       and not any("id" in p or "name" in p["function"] for p in parts[1:]), "the name first, arguments in pieces",
       parts)
for choice, more in (({"type": "function", "function": {"name": "other"}}, {}), ("maybe", {}), ({}, {}), (1, {}),
                     ("required", {"response_format": {"type": "json_object"}}), ("required", {"tools": []})):
    status, got = server.post("/v1/chat/completions",
                              dict({"messages": user, "tools": TOOLS, "tool_choice": choice}, **more))
    equal((status, got.get("error", {}).get("param")), (400, "tool_choice"), f"tool_choice {choice} is refused")
equal(server.stop()[0], 0, "a clean end")
done()
