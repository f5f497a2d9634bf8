"""Hooks of schemathesis (SCHEMATHESIS_HOOKS): most requests ask a model that is there, or all of them would end in a 404.

SHOAL_MODELS  names of models that are served, separated by commas
"""

import os

import schemathesis

MODELS = os.environ["SHOAL_MODELS"].split(",")


@schemathesis.hook
def map_body(context, body):
    if isinstance(body, dict) and isinstance(body.get("model"), str):
        # By what was drawn, so that a case can be repeated; one in so many stays as it was drawn.
        choice = len(body["model"]) % (len(MODELS) + 1)
        if choice < len(MODELS):
            body["model"] = MODELS[choice]
    return body
