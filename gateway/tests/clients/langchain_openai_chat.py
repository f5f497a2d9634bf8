"""langchain-openai against a gateway."""

from langchain_core.messages import HumanMessage
from langchain_openai import ChatOpenAI

from checks import BASE, EXPECT, QUESTION, SCHEMA, check, contains, equal, fits, run

chat = ChatOpenAI(model="shoal", base_url=BASE, api_key="none", timeout=120, max_retries=0)


@check
def answers_at_once():
    answer = chat.invoke([HumanMessage(QUESTION)])
    contains(answer.content, EXPECT)
    equal(answer.response_metadata["finish_reason"], "stop")
    assert answer.usage_metadata["output_tokens"] > 0


@check
def answers_in_a_stream():
    whole = None
    for chunk in chat.stream(QUESTION, stream_usage=True):
        whole = chunk if whole is None else whole + chunk
    contains(whole.content, EXPECT)
    assert whole.usage_metadata["output_tokens"] > 0


@check
def answers_a_batch():
    for answer in chat.batch([QUESTION, QUESTION]):
        contains(answer.content, EXPECT)


@check
def keeps_to_a_schema():
    schema = {"title": "Verdict", "description": "A verdict.", **SCHEMA}
    told = chat.with_structured_output(schema, method="json_schema", strict=True)
    fits(told.invoke(QUESTION))


@check
def calls_a_function_that_it_must_call():
    schema = {"title": "note", "description": "Notes it.", **SCHEMA}
    answer = chat.bind_tools([schema], tool_choice="note").invoke(QUESTION)
    equal([call["name"] for call in answer.tool_calls], ["note"])
    fits(answer.tool_calls[0]["args"])


run("langchain-openai")
