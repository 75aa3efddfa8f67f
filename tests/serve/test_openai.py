#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The server as the `openai` package sees it: installed into a throw-away environment, skipped where the registry is
not reached."""

from serve_testing import *

CLIENT = r'''
import json, sys, threading
import openai
from openai import OpenAI

results = []
def ok(good, name, detail=""):
    results.append((bool(good), name, str(detail)[:300]))

client = OpenAI(base_url=sys.argv[1], api_key="none", max_retries=0, timeout=60)
user = [{"role": "user", "content": "Tell me a story"}]
whole = client.chat.completions.create(model="any", messages=user, max_tokens=40, seed=2)
text = whole.choices[0].message.content
ok(text and whole.choices[0].finish_reason == "length" and whole.usage.completion_tokens == 40, "a chat", whole)
stream = client.chat.completions.create(model="any", messages=user, max_tokens=40, seed=2, stream=True,
                                        stream_options={"include_usage": True})
chunks = list(stream)
got = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
ok(got == text and chunks[-1].usage.completion_tokens == 40, "the same as a stream", got)
stopped = client.chat.completions.create(model="any", messages=user, max_tokens=40, seed=2, stop=[text[20:24]])
ok(stopped.choices[0].finish_reason == "stop"
   and stopped.choices[0].message.content == text[:text.index(text[20:24])], "stop")
logs = client.chat.completions.create(model="any", messages=user, max_tokens=8, seed=2, logprobs=True, top_logprobs=3)
content = logs.choices[0].logprobs.content
ok("".join(t.token for t in content) == logs.choices[0].message.content and len(content[0].top_logprobs) == 3,
   "logprobs", content)
schema = {"type": "object", "properties": {"name": {"type": "string", "maxLength": 10}, "old": {"type": "boolean"}},
          "required": ["name", "old"], "additionalProperties": False}
made = client.chat.completions.create(model="any", messages=user, max_tokens=100, seed=1, response_format={
    "type": "json_schema", "json_schema": {"name": "thing", "strict": True, "schema": schema}})
try:
    thing = json.loads(made.choices[0].message.content)
except ValueError:
    thing = None
ok(thing and set(thing) == {"name", "old"} and isinstance(thing["old"], bool), "json_schema", made)
tools = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}]
made = client.chat.completions.create(model="any", messages=user, max_tokens=20, seed=1, tools=tools)
ok(made.choices[0].message.content and not made.choices[0].message.tool_calls, "tools, of which none is called", made)
chunks = list(client.chat.completions.create(model="any", messages=user, max_tokens=20, seed=1, tools=tools,
                                             stream=True))
ok("".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == made.choices[0].message.content
   and len(chunks) > 10, "the same as a stream, as it comes", chunks)
strict = {"type": "object", "properties": {"city": {"type": "string", "maxLength": 10}}, "required": ["city"],
          "additionalProperties": False}
tools[0]["function"]["parameters"] = strict
fields = dict(model="any", messages=user, max_tokens=100, seed=1, tools=tools, tool_choice="required")
made = client.chat.completions.create(**fields).choices[0]
call = made.message.tool_calls[0]
ok(call.function.name == "weather" and made.finish_reason == "tool_calls", "a call", made)
with client.chat.completions.stream(**fields) as events:  # the package puts the pieces together, and parses them
    kinds = [e.type for e in events]
    final = events.get_final_completion().choices[0]
streamed = final.message.tool_calls[0]
ok(kinds.count("tool_calls.function.arguments.delta") > 2 and kinds.count("tool_calls.function.arguments.done") == 1
   and json.loads(streamed.function.arguments) == json.loads(call.function.arguments) and streamed.id
   and final.finish_reason == "tool_calls" and not final.message.content, "the same as a stream, in pieces", kinds)
several = client.chat.completions.create(model="any", messages=user, max_tokens=10, seed=5, n=3)
ok(len({c.index for c in several.choices}) == 3, "n")
done = client.completions.create(model="any", prompt="Once upon a time", max_tokens=10, seed=1, logprobs=2)
ok(done.choices[0].text and len(done.choices[0].logprobs.tokens) == 10, "a completion", done)
ok([m.id for m in client.models.list()] == ["with-tools"], "models")
for fields, kind in (({"messages": []}, openai.BadRequestError),
                     ({"messages": user, "temperature": -1}, openai.BadRequestError)):
    try:
        client.chat.completions.create(model="any", **fields)
        ok(False, "an error")
    except kind as e:
        ok(e.param and e.type == "invalid_request_error", f"an error names the field: {e.param}", e)
answers = {}
def ask(i):
    made = client.chat.completions.create(model="any", messages=user, max_tokens=40, seed=2)
    answers[i] = made.choices[0].message.content
threads = [threading.Thread(target=ask, args=(i,)) for i in range(8)]
for t in threads: t.start()
for t in threads: t.join()
ok(len(answers) == 8 and set(answers.values()) == {text}, "eight at once", answers)
leaving = client.chat.completions.create(model="any", messages=user, max_tokens=300, stream=True)
next(iter(leaving))
leaving.close()
ok(client.chat.completions.create(model="any", messages=user, max_tokens=3).choices, "after a client that leaves")
print(json.dumps(results))
'''

environment = tmp("openai")
python = os.path.join(environment, "bin", "python")
try:
    made = subprocess.run([sys.executable, "-m", "venv", environment], capture_output=True, timeout=60)
    made = made.returncode == 0 and subprocess.run(
        [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--timeout", "5", "--retries", "0",
         "openai"],
        capture_output=True, timeout=180).returncode == 0
except subprocess.TimeoutExpired:
    made = False
if not made:
    skip("the openai package", "it cannot be installed: the Python package index is not reached")
    done()
folder = copy_model("with-tools")
with open(os.path.join(folder, "chat_template.jinja"), "w") as f:
    f.write("{% for t in tools or [] %}{{ t | tojson }}\n{% endfor %}{% for m in messages %}<|im_start|>{{ m.role }}\n"
            "{{ m.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}")
server = Server(model=folder)
p = subprocess.run([python, "-c", CLIENT, f"http://127.0.0.1:{server.port}/v1"], capture_output=True, timeout=120)
try:
    results = json.loads(p.stdout)
except ValueError:
    results = [[False, "the client came to its end", p.stderr.decode()[-2000:]]]
for good, name, detail in results:
    ok(good, name, detail)
equal(server.stop()[0], 0, "a clean end")
done()
