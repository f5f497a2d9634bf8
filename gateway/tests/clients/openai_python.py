"""The official Python SDK against a gateway."""

import asyncio

import openai

from checks import BASE, EXPECT, MESSAGES, caught, check, contains, equal, run

# No retries: a check must see the first answer, not the third.
SETTINGS = {"base_url": BASE, "api_key": "none", "timeout": 120, "max_retries": 0}

client = openai.OpenAI(**SETTINGS)


@check
def lists_models():
    contains([model.id for model in client.models.list()], "shoal")


@check
def retrieves_a_model_by_name():
    for model in client.models.list():
        equal(client.models.retrieve(model.id).id, model.id)


@check
def answers_at_once():
    answer = client.chat.completions.create(model="shoal", messages=MESSAGES)
    contains(answer.choices[0].message.content, EXPECT)
    equal(answer.choices[0].finish_reason, "stop")
    equal(answer.model, "shoal")
    equal(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens)
    assert answer.usage.completion_tokens > 0
    assert answer._request_id.startswith("req_"), answer._request_id


@check
def names_the_round_in_a_header():
    raw = client.chat.completions.with_raw_response.create(model="shoal", messages=MESSAGES)
    round = client.get(f"/rounds/{raw.headers['x-shoal-round']}", cast_to=dict)
    contains(round["candidates"][round["winner"]]["text"], EXPECT)


@check
def answers_in_a_stream():
    stream = client.chat.completions.create(
        model="shoal", messages=MESSAGES, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    equal(chunks[0].choices[0].delta.role, "assistant")
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    contains(text, EXPECT)
    equal([c.choices[0].finish_reason for c in chunks if c.choices][-1], "stop")
    assert chunks[-1].usage.completion_tokens > 0
    equal(len({c.id for c in chunks}), 1)


@check
def accumulates_a_stream_with_the_helper():
    with client.chat.completions.stream(model="shoal", messages=MESSAGES) as stream:
        stream.until_done()
        contains(stream.get_final_completion().choices[0].message.content, EXPECT)


@check
def takes_the_conversation_back_as_it_was_dumped():
    answer = client.chat.completions.create(model="shoal", messages=MESSAGES)
    dumped = answer.choices[0].message.model_dump()
    again = client.chat.completions.create(model="shoal", messages=[*MESSAGES, dumped, *MESSAGES])
    assert again.choices[0].message.content


@check
def answers_the_asynchronous_client():
    async def ask():
        async with openai.AsyncOpenAI(**SETTINGS) as client:
            answer = await client.chat.completions.create(model="shoal", messages=MESSAGES)
            contains(answer.choices[0].message.content, EXPECT)
            stream = await client.chat.completions.create(
                model="shoal", messages=MESSAGES, stream=True
            )
            text = [c.choices[0].delta.content or "" async for c in stream]
            contains("".join(text), EXPECT)

    asyncio.run(ask())


@check
def an_unknown_model_is_not_found():
    for stream in (False, True):
        error = caught(
            openai.NotFoundError,
            lambda: client.chat.completions.create(
                model="nobody", messages=MESSAGES, stream=stream
            ),
        )
        equal((error.status_code, error.code, error.type), (404, "model_not_found", "invalid_request_error"))
        assert error.request_id.startswith("req_"), error.request_id


@check
def an_unknown_model_cannot_be_retrieved():
    error = caught(openai.NotFoundError, lambda: client.models.retrieve("org/nobody"))
    equal((error.code, error.param), ("model_not_found", "model"))


@check
def a_bad_temperature_is_a_bad_request():
    error = caught(
        openai.BadRequestError,
        lambda: client.chat.completions.create(model="shoal", messages=MESSAGES, temperature=99),
    )
    equal((error.code, error.param), ("decimal_above_max_value", "temperature"))


@check
def no_messages_are_a_bad_request():
    error = caught(
        openai.BadRequestError,
        lambda: client.chat.completions.create(model="shoal", messages=[]),
    )
    equal((error.code, error.param), ("empty_array", "messages"))


@check
def a_body_too_large_is_refused():
    huge = [{"role": "user", "content": "x" * (30 << 20)}]
    error = caught(
        openai.APIStatusError,
        lambda: client.chat.completions.create(model="shoal", messages=huge),
    )
    equal(error.status_code, 413)
    contains(error.message, "Maximum content size limit")


@check
def a_stream_can_be_left():
    stream = client.chat.completions.create(model="shoal", messages=MESSAGES, stream=True)
    next(iter(stream))
    stream.close()
    answers_at_once()


run(f"openai-python {openai.__version__}")
