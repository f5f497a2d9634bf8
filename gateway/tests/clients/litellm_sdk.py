"""LiteLLM's SDK against a gateway, as an OpenAI-compatible provider."""

import json

import litellm

from checks import BASE, EXPECT, MESSAGES, SCHEMA, caught, check, contains, equal, fits, run

litellm.suppress_debug_info = True
ASKED = {"api_base": BASE, "api_key": "none", "messages": MESSAGES, "timeout": 120, "max_retries": 0}


@check
def answers_at_once():
    answer = litellm.completion(model="openai/shoal", **ASKED)
    contains(answer.choices[0].message.content, EXPECT)
    equal(answer.choices[0].finish_reason, "stop")
    assert answer.usage.completion_tokens > 0


@check
def answers_in_a_stream():
    chunks = list(litellm.completion(model="openai/shoal", stream=True, **ASKED))
    contains("".join(c.choices[0].delta.content or "" for c in chunks if c.choices), EXPECT)


@check
def keeps_to_a_schema():
    form = {"type": "json_schema", "json_schema": {"name": "verdict", "strict": True, "schema": SCHEMA}}
    answer = litellm.completion(model="openai/shoal", response_format=form, **ASKED)
    fits(json.loads(answer.choices[0].message.content))


@check
def an_unknown_model_is_not_found():
    caught(litellm.NotFoundError, lambda: litellm.completion(model="openai/nobody", **ASKED))


@check
def a_bad_temperature_is_a_bad_request():
    caught(
        litellm.BadRequestError,
        lambda: litellm.completion(model="openai/shoal", temperature=99, **ASKED),
    )


run("litellm")
