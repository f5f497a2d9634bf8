"""instructor over the official SDK against a gateway: typed answers."""

import instructor
import openai
from pydantic import BaseModel, Field

from checks import BASE, MESSAGES, check, run

plain = openai.OpenAI(base_url=BASE, api_key="none", timeout=120, max_retries=0)


class Verdict(BaseModel):
    right: bool
    digit: int = Field(ge=0, le=9)


def kept_by(mode):
    client = instructor.from_openai(plain, mode=mode)
    found = client.chat.completions.create(
        model="shoal", messages=MESSAGES, response_model=Verdict, max_retries=1
    )
    assert isinstance(found, Verdict), found


@check
def keeps_to_a_type_by_function():
    kept_by(instructor.Mode.TOOLS)


@check
def keeps_to_a_type_by_schema():
    kept_by(instructor.Mode.JSON_SCHEMA)


run(f"instructor {instructor.__version__}")
