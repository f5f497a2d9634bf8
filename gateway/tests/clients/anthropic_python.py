"""Anthropic's Python SDK against a gateway's /v1/messages."""

import anthropic

from checks import BASE, EXPECT, MESSAGES, SCHEMA, caught, check, contains, equal, fits, run

ROOT = BASE.removesuffix("/v1")
client = anthropic.Anthropic(base_url=ROOT, api_key="none", timeout=120, max_retries=0)
ASKED = {"model": "shoal", "max_tokens": 400, "messages": MESSAGES}


@check
def answers_at_once():
    answer = client.messages.create(**ASKED)
    contains(answer.content[0].text, EXPECT)
    equal((answer.type, answer.role, answer.stop_reason), ("message", "assistant", "end_turn"))
    assert answer.usage.input_tokens > 0 and answer.usage.output_tokens > 0


@check
def answers_in_a_stream():
    with client.messages.stream(**ASKED) as stream:
        contains("".join(stream.text_stream), EXPECT)
        final = stream.get_final_message()
    contains(final.content[0].text, EXPECT)
    equal(final.stop_reason, "end_turn")
    assert final.usage.output_tokens > 0


@check
def a_stream_can_be_left():
    with client.messages.stream(**ASKED) as stream:
        next(iter(stream))
    answers_at_once()


@check
def calls_a_function_that_it_must_call():
    tool = {"name": "note", "description": "Notes it.", "input_schema": SCHEMA}
    asked = {**ASKED, "tools": [tool], "tool_choice": {"type": "tool", "name": "note"}}
    answer = client.messages.create(**asked)
    [used] = [block for block in answer.content if block.type == "tool_use"]
    equal((used.name, answer.stop_reason), ("note", "tool_use"))
    fits(used.input)
    with client.messages.stream(**asked) as stream:
        final = stream.get_final_message()
    fits([block for block in final.content if block.type == "tool_use"][0].input)


@check
def an_unknown_model_is_not_found():
    error = caught(anthropic.NotFoundError, lambda: client.messages.create(**{**ASKED, "model": "nobody"}))
    equal(error.body["error"]["type"], "not_found_error")


@check
def a_bad_temperature_is_a_bad_request():
    error = caught(
        anthropic.BadRequestError, lambda: client.messages.create(**ASKED, extra_body={"temperature": 99})
    )
    equal(error.body["error"]["type"], "invalid_request_error")


run(f"anthropic {anthropic.__version__}")
