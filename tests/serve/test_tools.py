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
equal("weather" in server.post("/apply-template", {"messages": user, "tools": TOOLS, "tool_choice": "none"})[1]["prompt"],
      False, "but not with tool_choice none")
history = user + [{"role": "assistant", "content": None, "tool_calls": [
    {"id": "a", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Rome"}'}}]},
    {"role": "tool", "tool_call_id": "a", "content": "sunny"}]
text = server.post("/apply-template", {"messages": history, "tools": TOOLS})[1]["prompt"]
ok("<tool_call>Rome</tool_call>" in text and "tool\nsunny" in text, "arguments are an object to the template", text)
status, got = server.post("/v1/chat/completions", {"messages": user, "tools": TOOLS, "max_tokens": 20, "seed": 1})
choice = got["choices"][0]
ok(status == 200 and "tool_calls" not in choice["message"] and choice["message"]["content"], "an answer without a call", got)
events = server.events("/v1/chat/completions", {"messages": user, "tools": TOOLS, "max_tokens": 20, "seed": 1})
equal("".join(e["choices"][0]["delta"].get("content", "") for e in events[:-1]), choice["message"]["content"],
      "the same as a stream")
done()
