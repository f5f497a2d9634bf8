"""A real small language model through a gateway, asked by one SDK: `real_model.py openai`.

SHOAL_MODEL  the member that is asked by name (default: smollm2-135m)
"""

import os
import sys

from checks import BASE, check, contains, run

MODEL = os.environ.get("SHOAL_MODEL", "smollm2-135m")
# What a model of this size knows for certain; greedy, so that it says the same each time.
QUESTION = "What is the capital of France? Answer with one word."
EXPECT = "Paris"
MESSAGES = [{"role": "user", "content": QUESTION}]


def with_openai():
    import openai

    client = openai.OpenAI(base_url=BASE, api_key="none", timeout=120, max_retries=0)
    asked = {"model": MODEL, "messages": MESSAGES, "temperature": 0, "max_tokens": 40}
    yield client.chat.completions.create(**asked).choices[0].message.content
    chunks = client.chat.completions.create(**asked, stream=True)
    yield "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)


def with_anthropic():
    import anthropic

    client = anthropic.Anthropic(
        base_url=BASE.removesuffix("/v1"), api_key="none", timeout=120, max_retries=0
    )
    # The SDK has no name for the temperature any more; the API still has.
    asked = {"model": MODEL, "messages": MESSAGES, "max_tokens": 40, "extra_body": {"temperature": 0}}
    yield client.messages.create(**asked).content[0].text
    with client.messages.stream(**asked) as stream:
        yield "".join(stream.text_stream)


def with_langchain():
    from langchain_openai import ChatOpenAI

    chat = ChatOpenAI(
        model=MODEL, base_url=BASE, api_key="none", temperature=0, max_tokens=40, max_retries=0
    )
    yield chat.invoke(QUESTION).content
    yield "".join(chunk.content for chunk in chat.stream(QUESTION))


def with_litellm():
    import litellm

    litellm.suppress_debug_info = True
    asked = {"api_base": BASE, "api_key": "none", "messages": MESSAGES, "max_retries": 0}
    asked |= {"model": f"openai/{MODEL}", "temperature": 0, "max_tokens": 40, "timeout": 120}
    yield litellm.completion(**asked).choices[0].message.content
    chunks = litellm.completion(**asked, stream=True)
    yield "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)


def with_pydantic_ai():
    from pydantic_ai import Agent
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    model = OpenAIChatModel(MODEL, provider=OpenAIProvider(base_url=BASE, api_key="none"))
    agent = Agent(model, model_settings={"temperature": 0, "max_tokens": 40})
    yield agent.run_sync(QUESTION).output


def with_instructor():
    import instructor
    import openai
    from pydantic import BaseModel

    class City(BaseModel):
        capital: str

    plain = openai.OpenAI(base_url=BASE, api_key="none", timeout=120, max_retries=0)
    client = instructor.from_openai(plain, mode=instructor.Mode.JSON_SCHEMA)
    asked = {"model": MODEL, "messages": MESSAGES, "temperature": 0, "max_tokens": 60}
    yield client.chat.completions.create(**asked, response_model=City, max_retries=0).capital


@check
def says_what_it_knows():
    answers = list(globals()[f"with_{sys.argv[1]}"]())
    assert answers
    for answer in answers:
        print(f"      {answer}")
        contains(answer, EXPECT)


run(f"{sys.argv[1]} with {MODEL}")
