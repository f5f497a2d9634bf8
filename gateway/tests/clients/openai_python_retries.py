"""The official Python SDK against gateways that refuse: which exception it raises, and what it sends again.

SHOAL_BUSY     a gateway whose only place is taken until it has refused somebody
SHOAL_EMPTY    a gateway without members
SHOAL_LOCKED   a gateway with keys
SHOAL_LIMITED  a gateway with less tokens a minute than one answer costs
"""

import os

import openai

from checks import EXPECT, MESSAGES, caught, check, contains, equal, run


class Counted:
    """A client that counts what it sends."""

    def __init__(self, place):
        self.sent = []
        hooks = {"request": [self.sent.append]}
        http_client = openai.DefaultHttpxClient(event_hooks=hooks)
        base = os.environ[place]
        self.client = openai.OpenAI(base_url=base, api_key="sk-no-such-key", http_client=http_client)

    def asks(self, **more):
        chat = self.client.chat.completions.with_raw_response
        return chat.create(model="shoal", messages=MESSAGES, **more)

    def retries(self):
        return [request.headers.get("x-stainless-retry-count") for request in self.sent]


@check
def a_busy_gateway_is_asked_again_after_the_wait_that_it_named():
    busy = Counted("SHOAL_BUSY")
    raw = busy.asks()
    contains(raw.parse().choices[0].message.content, EXPECT)
    equal(raw.retries_taken, 1)
    equal(busy.retries(), ["0", "1"])


@check
def a_swarm_without_members_is_an_internal_server_error_after_three_tries():
    for stream in (False, True):
        empty = Counted("SHOAL_EMPTY")
        error = caught(openai.InternalServerError, lambda: empty.asks(stream=stream))
        equal((error.status_code, error.code, error.type), (503, "no_member", "server_error"))
        equal(empty.retries(), ["0", "1", "2"])


@check
def a_wrong_key_is_an_authentication_error_and_not_sent_again():
    locked = Counted("SHOAL_LOCKED")
    error = caught(openai.AuthenticationError, locked.asks)
    equal((error.status_code, error.code), (401, "invalid_api_key"))
    assert error.request_id.startswith("req_")
    equal(len(locked.sent), 1)


@check
def a_limit_that_holds_for_long_is_a_rate_limit_error_and_not_sent_again():
    limited = Counted("SHOAL_LIMITED")
    contains(limited.asks().parse().choices[0].message.content, EXPECT)
    error = caught(openai.RateLimitError, limited.asks)
    equal((error.status_code, error.code, error.type), (429, "rate_limit_exceeded", "tokens"))
    assert int(error.response.headers["retry-after"]) > 60
    equal(len(limited.sent), 2)


run(f"openai-python {openai.__version__}, refused")
