"""The official Python SDK against a gateway whose members are real models: what needs an engine."""

import json
import math

import openai
from pydantic import BaseModel, Field

from checks import BASE, EXPECT, MESSAGES, QUESTION, SCHEMA, caught, check, contains, equal, fits, run

client = openai.OpenAI(base_url=BASE, api_key="none", timeout=120, max_retries=0)
FUNCTION = {"name": "note", "description": "Notes it.", "parameters": SCHEMA, "strict": True}
TOOLS = [{"type": "function", "function": FUNCTION}]
NAMED = {"type": "function", "function": {"name": "note"}}


def asked(**more):
    return client.chat.completions.create(model="shoal", messages=MESSAGES, **more)


class Verdict(BaseModel):
    right: bool
    digit: int = Field(ge=0, le=9)


@check
def n_answers_are_the_rounds_best():
    answer = asked(n=2)
    equal([choice.index for choice in answer.choices], [0, 1])
    contains(answer.choices[0].message.content, EXPECT)
    chunks = list(asked(n=2, stream=True))
    equal({c.index for chunk in chunks for c in chunk.choices}, {0, 1})


@check
def a_stop_text_ends_the_answer_and_is_not_in_it():
    answer = asked(stop=["Answer"])
    equal(answer.choices[0].finish_reason, "stop")
    assert "Answer" not in answer.choices[0].message.content


@check
def a_limit_of_tokens_cuts_the_answer():
    answer = asked(max_completion_tokens=3)
    equal(answer.choices[0].finish_reason, "length")
    assert answer.usage.completion_tokens <= 3


@check
def one_member_says_how_likely_its_tokens_were():
    member = next(m.id for m in client.models.list() if m.id == "shoal-sum")
    answer = client.chat.completions.create(
        model=member, messages=MESSAGES, logprobs=True, top_logprobs=2, max_tokens=8
    )
    choice = answer.choices[0]
    tokens = choice.logprobs.content
    equal("".join(token.token for token in tokens), choice.message.content)
    for token in tokens:
        assert token.logprob <= 0 and len(token.top_logprobs) == 2, token
        assert sum(math.exp(top.logprob) for top in token.top_logprobs) <= 1.0001


@check
def the_same_seed_gives_the_same_text():
    def drawn():
        return client.chat.completions.create(
            model="shoal-story", messages=MESSAGES, temperature=1.5, seed=11, max_tokens=40
        ).choices[0].message.content

    equal(drawn(), drawn())


@check
def keeps_to_a_schema():
    form = {"type": "json_schema", "json_schema": {"name": "verdict", "strict": True, "schema": SCHEMA}}
    fits(json.loads(asked(response_format=form).choices[0].message.content))
    chunks = asked(response_format=form, stream=True)
    fits(json.loads("".join(c.choices[0].delta.content or "" for c in chunks if c.choices)))


@check
def parses_into_a_type():
    answer = client.chat.completions.parse(model="shoal", messages=MESSAGES, response_format=Verdict)
    assert isinstance(answer.choices[0].message.parsed, Verdict)


@check
def calls_a_function_that_it_must_call():
    for choice in ("required", NAMED):
        answer = asked(tools=TOOLS, tool_choice=choice).choices[0]
        equal(answer.finish_reason, "tool_calls" if choice == "required" else answer.finish_reason)
        equal([call.function.name for call in answer.message.tool_calls], ["note"])
        fits(json.loads(answer.message.tool_calls[0].function.arguments))


@check
def streams_a_call_in_deltas():
    name, arguments = "", ""
    for chunk in asked(tools=TOOLS, tool_choice=NAMED, stream=True):
        for choice in chunk.choices:
            for call in choice.delta.tool_calls or []:
                equal(call.index, 0)
                name += call.function.name or ""
                arguments += call.function.arguments or ""
    equal(name, "note")
    fits(json.loads(arguments))


@check
def a_functions_result_comes_back():
    call = asked(tools=TOOLS, tool_choice=NAMED).choices[0].message
    result = {"role": "tool", "tool_call_id": call.tool_calls[0].id, "content": "noted"}
    answer = client.chat.completions.create(
        model="shoal", messages=[*MESSAGES, call, result], tools=TOOLS, tool_choice="none"
    )
    assert not answer.choices[0].message.tool_calls


@check
def completes_a_prompt():
    answer = client.completions.create(model="shoal", prompt=QUESTION, max_tokens=60)
    equal((answer.object, answer.choices[0].index), ("text_completion", 0))
    assert answer.choices[0].text


@check
def responds():
    answer = client.responses.create(model="shoal", input=QUESTION)
    contains(answer.output_text, EXPECT)
    equal(answer.status, "completed")
    equal(client.responses.retrieve(answer.id).output_text, answer.output_text)
    again = client.responses.create(model="shoal", input=QUESTION, previous_response_id=answer.id)
    equal(again.previous_response_id, answer.id)
    client.responses.delete(answer.id)
    caught(openai.NotFoundError, lambda: client.responses.retrieve(answer.id))


@check
def responds_in_events():
    with client.responses.stream(model="shoal", input=QUESTION) as stream:
        kinds = [event.type for event in stream]
        contains(stream.get_final_response().output_text, EXPECT)
    equal((kinds[0], kinds[-1]), ("response.created", "response.completed"))
    contains(kinds, "response.output_text.delta")


@check
def continues_a_conversation():
    hello = {"type": "message", "role": "user", "content": "Hello."}
    conversation = client.conversations.create(items=[hello], metadata={"topic": "sums"})
    answer = client.responses.create(model="shoal", input=QUESTION, conversation=conversation.id)
    contains(answer.output_text, EXPECT)
    equal(answer.conversation.id, conversation.id)
    items = list(client.conversations.items.list(conversation.id, order="asc"))
    equal([item.role for item in items], ["user", "user", "assistant"])
    client.conversations.items.delete(items[0].id, conversation_id=conversation.id)
    equal(client.conversations.update(conversation.id, metadata={}).metadata, {})
    equal(client.conversations.delete(conversation.id).deleted, True)
    caught(openai.NotFoundError, lambda: client.conversations.retrieve(conversation.id))


@check
def embeds():
    found = client.embeddings.create(model="shoal-story", input=["sea", "the sea", "seven plus two"])
    equal([item.index for item in found.data], [0, 1, 2])
    for item in found.data:
        assert abs(sum(x * x for x in item.embedding) - 1) < 1e-3
    floats = client.embeddings.create(model="shoal-story", input="sea", encoding_format="float")
    assert max(abs(a - b) for a, b in zip(floats.data[0].embedding, found.data[0].embedding)) < 1e-6
    equal(len(client.embeddings.create(model="shoal-story", input="sea", dimensions=8).data[0].embedding), 8)


@check
def ranks_what_it_is_given():
    texts = ["Answer: 432", "Answer: 12"]
    found = client.post("/rank", body={"prompt": QUESTION, "candidates": texts}, cast_to=dict)
    assert found, found


run(f"openai-python {openai.__version__}, engine")
