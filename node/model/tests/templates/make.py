"""Writes cases.json: prompts as transformers renders them, for the test of our own renderer.

    pip install transformers jinja2
    python make.py [folder of further .jinja files]

Templates of our own are in the file with their prompts. Of a folder's templates, which are other
people's, only the SHA-256 of each prompt is kept, under the file's name.
"""

import hashlib
import json
import sys
from pathlib import Path

from transformers.utils import chat_template_utils

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "Tells the \"weather\" <now> & then \u2014 f\u00fcr \U0001f41f.",
            "parameters": {
                "type": "object",
                "properties": {
                    "city": {"type": "string", "description": "A city's name"},
                    "days": {"type": "integer", "minimum": 1, "default": 3},
                    "unit": {"type": "string", "enum": ["C", "F"]},
                    "ratio": {"type": "number", "maximum": 1.5, "default": 1e-7},
                },
                "required": ["city"],
            },
        },
    },
    {
        "type": "function",
        "function": {
            "name": "now",
            "description": "Tells the time.",
            "parameters": {"type": "object", "properties": {}},
        },
    },
]


def call(name, arguments, id="abcDEF123"):
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


TURNS = [
    {"role": "user", "content": "Hello?"},
    {"role": "assistant", "content": "<think>\nA greeting.\n</think>\n\nHi! "},
    {"role": "user", "content": "  And now \u00fc? "},
]
CALLED = [
    {"role": "user", "content": "Rain in Graz?"},
    {
        "role": "assistant",
        "content": "",
        "tool_calls": [call("weather", {"city": "Graz \"<&>\" \u00fc", "days": 2, "ratio": 0.5})],
    },
    {"role": "tool", "content": '{"rain": true}', "name": "weather", "tool_call_id": "abcDEF123"},
]
SYSTEM = {"role": "system", "content": "Be brief. /no_think "}

CONVERSATIONS = {
    "one question": {"messages": TURNS[:1]},
    "turns": {"messages": TURNS},
    "system": {"messages": [SYSTEM, *TURNS]},
    "system alone": {"messages": [SYSTEM]},
    "no alternation": {"messages": [TURNS[0], TURNS[2]]},
    "no thinking": {"messages": TURNS, "variables": {"enable_thinking": False}},
    "thinking": {"messages": TURNS, "variables": {"enable_thinking": True}},
    "tools": {"messages": TURNS[:1], "tools": TOOLS},
    "tools and system": {"messages": [SYSTEM, *TURNS], "tools": TOOLS},
    "calls": {"messages": CALLED, "tools": TOOLS},
    "calls with text": {
        "messages": [CALLED[0], {**CALLED[1], "content": "Let me see."}, CALLED[2]],
        "tools": TOOLS,
    },
    "calls and an answer": {
        "messages": [*CALLED, {"role": "assistant", "content": "Yes."}, TURNS[0]],
        "tools": TOOLS,
    },
    "two calls": {
        "messages": [
            CALLED[0],
            {**CALLED[1], "tool_calls": [call("weather", {"city": "Graz"}), call("now", {}, "xyzXYZ789")]},
            CALLED[2],
            {"role": "tool", "content": "noon", "name": "now", "tool_call_id": "xyzXYZ789"},
        ],
        "tools": TOOLS,
    },
    "variables": {
        "messages": TURNS,
        "tools": TOOLS,
        "variables": {
            "date_string": "1 Jan 2026",
            "tools_in_user_message": False,
            "reasoning_effort": "high",
            "builtin_tools": ["browser", "python"],
            "model_identity": "You are a fish.",
            "documents": [{"title": "A", "text": "B"}],
        },
    },
}

# Between them, what templates in use do.
OWN = {
    "chatml": """{%- for message in messages %}
    {{- '<|im_start|>' + message['role'] + '\\n' + message['content'] | trim + '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
""",
    "whitespace": """{# a comment #}
{% for message in messages %}
  {% if loop.first %}first{% elif loop.last %}last{% else %}{{ loop.index0 }}/{{ loop.length }}{% endif %}

  {%+ if message.content %}[{{ message.content }}]{% endif %}

{%- endfor -%}
    end

""",
    "json": """{% if tools %}{% for tool in tools %}{{ tool | tojson }}
{{ tool.function.parameters | tojson(indent=2) }}
{{ tool | tojson(separators=(',', ':'), sort_keys=true) }}
{{ tool.function.description | tojson(ensure_ascii=true) }}
{% endfor %}{% endif %}{{ messages | tojson(indent=4) }}""",
    "values": """{{ true }} {{ none }} {{ 1.0 }} {{ 1e20 }} {{ 3 // 2 }} {{ 7 / 2 }} {{ 2 ** 3 }} {{ -7 % 3 }}
{{ [1, 'a', "it's", {'b': none, 'c': [true]}] }} {{ ('x', 1) | list }} {{ {'k': 1.5} }}
{{ tools is none }} {{ tools is defined }} {{ nothing is defined }} [{{ nothing }}]
{% if tools %}{{ tools[0].function.parameters }}{{ tools[0] | string | length }}{% endif %}
{{ messages | length ~ ':' ~ 1.5 }} {{ 'a' * 3 }} {{ [1] + [2] }} {{ 'b' in 'abc' }} {{ 3 in [1, 2] }}""",
    "python": """{% for message in messages %}{% set content = message.content %}
{{ content.strip() }}|{{ content.upper() }}|{{ content.lower().capitalize() }}|{{ content.startswith('<think>') }}
{{ content.split('</think>')[-1].lstrip('\\n') }}|{{ content.split() | join('+') }}|{{ content.replace('e', 'E') }}
{{ content.rstrip('! ') }}|{{ content.find('i') }}|{{ content[1:4] }}|{{ content[::-1] }}|{{ content[-3:] }}
{% for key, value in message.items() %}{{ key }}={{ value is string }},{% endfor %}
{{ message.get('name', 'nobody') }} {{ message.keys() | list }} {{ 'tool_calls' in message }}
{%- endfor %}""",
    "filters": """{% set users = messages | selectattr('role', 'equalto', 'user') | list %}{{ users | length }}
{{ messages | map(attribute='role') | join(', ') }} {{ messages | rejectattr('role', 'equalto', 'user') | list | length }}
{{ users[-1].content | trim | capitalize }} {{ '  x ' | trim }} {{ 'a b' | title }} {{ [3, 1, 2] | sort | last }}
{{ [1, 2, 3] | sum }} {{ 'abc' | first }} {{ ['b', 'a', 'b'] | unique | list }} {{ 'x' | default('y') }} {{ nothing | default('z') }}
{{ messages[0] | dictsort | length }} {{ 'line\\nline' | indent(2) }} {{ '<&>' | e }} {{ [[1, 2], [3]] | map('first') | list }}
{{ {'a': 1, 'b': 2} | items | map('last') | list }} {{ 3.7 | int }} {{ '5' | int + 1 }} {{ 2.567 | round(1) }} {{ 'abc' | reverse }}""",
    "state": """{%- set ns = namespace(found=false, count=0) -%}
{%- macro turn(message, mark='>') -%}
{{ mark }} {{ message.role }}: {{ caller() if caller else message.content | trim }}
{% endmacro -%}
{%- for message in messages[::-1] -%}
{%- if message.role == 'user' and not ns.found -%}{%- set ns.found = true -%}{%- set ns.index = loop.revindex0 -%}{%- endif -%}
{%- set ns.count = ns.count + 1 -%}
{%- endfor -%}
{{ ns.count }} {{ ns.index }}
{% for message in messages -%}
{%- if message.role == 'system' -%}{%- continue -%}{%- endif -%}
{{- turn(message, mark='*' if loop.last else '-') -}}
{%- if loop.previtem is defined and loop.previtem.role == message.role -%}same{%- endif -%}
{%- if message.role == 'tool' -%}{%- break -%}{%- endif -%}
{%- endfor -%}
{%- call turn(messages[0]) -%}inner{%- endcall -%}
{%- set text -%} captured {{ messages | length }} {%- endset -%}[{{ text }}]""",
    "generation": """{% for message in messages %}{% if message.role == 'assistant' %}{% generation %}{{ message.content }}{% endgeneration %}{% else %}
{{ message.content }}{%- endif %}{% endfor %}""",
    "refusing": """{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}
{%- for message in messages %}{% if (message.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('alternate') }}{% endif %}{{ bos_token + message.content + eos_token }}{% endfor %}
{{- strftime_now('%d %b %Y') }} {{ strftime_now("%Y-%m-%d") }} {% if enable_thinking is defined and enable_thinking is false %}quiet{% endif %}
{%- if documents %}{% for document in documents %}{{ document['title'] }}{% endfor %}{% endif %}""",
}


def render(template, conversation):
    """None: the template refuses."""
    compiled = chat_template_utils._compile_jinja_template(template)
    dates = {"%d %b %Y": "23 Nov 2026", "%Y-%m-%d": "2026-11-23"}
    context = {"documents": None, **conversation.get("variables", {})}
    try:
        return compiled.render(
            messages=conversation["messages"],
            tools=conversation.get("tools"),
            add_generation_prompt=True,
            bos_token="<s>",
            eos_token="</s>",
            strftime_now=dates.get,
            **context,
        )
    except Exception as error:
        print(type(error).__name__, str(error)[:100], file=sys.stderr)
        return None


def digest(prompt):
    return None if prompt is None else hashlib.sha256(prompt.encode()).hexdigest()


def main():
    own = {
        name: {
            "template": source,
            "prompts": {case: render(source, each) for case, each in CONVERSATIONS.items()},
        }
        for name, source in OWN.items()
    }
    here = Path(__file__).parent
    cases = {"conversations": CONVERSATIONS, "own": own}
    for folder in sys.argv[1:]:
        cases["others"] = {
            path.name: {
                case: digest(render(path.read_text(), each)) for case, each in CONVERSATIONS.items()
            }
            for path in sorted(Path(folder).glob("*.jinja"))
        }
    (here / "cases.json").write_text(json.dumps(cases, indent=1, ensure_ascii=False) + "\n")


main()
