"""What the clients' scripts share: checks that are told one a line, and what they ask.

SHOAL_BASE_URL  where the API is, with /v1 at the end
SHOAL_EXPECT    what the answer to "What is 47 + 385?" must contain (default: 432)
"""

import os
import sys
import traceback

BASE = os.environ["SHOAL_BASE_URL"]
EXPECT = os.environ.get("SHOAL_EXPECT", "432")
QUESTION = "What is 47 + 385?"
MESSAGES = [{"role": "user", "content": QUESTION}]

# Answers that a model of any size can be held to while it writes.
SCHEMA = {
    "type": "object",
    "properties": {"right": {"type": "boolean"}, "digit": {"type": "integer", "minimum": 0, "maximum": 9}},
    "required": ["right", "digit"],
    "additionalProperties": False,
}

_checks = []


def check(function):
    _checks.append(function)
    return function


def equal(found, expected):
    assert found == expected, f"{found!r} is not {expected!r}"


def contains(text, part):
    assert part in text, f"{part!r} is not in {text!r}"


def fits(value):
    """The value keeps to SCHEMA."""
    equal(sorted(value), ["digit", "right"])
    assert isinstance(value["right"], bool) and 0 <= value["digit"] <= 9, value


def caught(kind, call):
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__}")


def run(client):
    """Runs every check; ends the program with 1 when one fails."""
    print(f"{client} at {BASE}")
    failed = 0
    for one in _checks:
        name = one.__name__.replace("_", " ")
        try:
            one()
            print(f"ok    {name}")
        except Exception:
            failed += 1
            print(f"FAIL  {name}\n{traceback.format_exc()}")
    sys.exit(1 if failed else 0)
