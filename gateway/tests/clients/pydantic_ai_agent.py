"""pydantic-ai against a gateway: typed answers and functions."""

from pydantic import BaseModel, Field
from pydantic_ai import Agent, NativeOutput
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from checks import BASE, EXPECT, QUESTION, check, contains, run

model = OpenAIChatModel("shoal", provider=OpenAIProvider(base_url=BASE, api_key="none"))


class Verdict(BaseModel):
    right: bool
    digit: int = Field(ge=0, le=9)


@check
def answers_at_once():
    contains(Agent(model).run_sync(QUESTION).output, EXPECT)


@check
def keeps_to_a_type_by_schema():
    found = Agent(model, output_type=NativeOutput(Verdict, strict=True)).run_sync(QUESTION).output
    assert isinstance(found, Verdict), found


@check
def keeps_to_a_type_by_function():
    found = Agent(model, output_type=Verdict).run_sync(QUESTION).output
    assert isinstance(found, Verdict), found


run("pydantic-ai")
