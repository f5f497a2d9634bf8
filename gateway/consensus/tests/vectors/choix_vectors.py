"""Makes choix.json: Bradley-Terry strengths by the PyPI package choix, for gateway/src/round/rank.

    python -m venv venv && venv/bin/pip install choix==0.4.1
    venv/bin/python gateway/tests/vectors/choix_vectors.py > gateway/tests/vectors/choix.json

The two models coincide where all weights and discriminations are 1, verdicts are 0 or 1 and the
prior is centred on 0. choix.opt_pairwise penalises with alpha * sum(theta^2), the gateway with
lambda / 2 * sum(theta^2), so lambda = 2 alpha.
"""

import json
import random

import choix
import numpy as np


def case(name, n, data, alpha):
    start = choix.opt_pairwise(n, data, alpha=alpha, method="Newton-CG", tol=1e-12)
    # Newton-CG stops at about 1e-6; a few exact Newton steps on choix's own derivatives follow.
    functions = choix.opt.PairwiseFcts(data, alpha)
    theta = np.array(start)
    for _ in range(20):
        theta = theta - np.linalg.solve(functions.hessian(theta), functions.gradient(theta))
    assert np.max(np.abs(functions.gradient(theta))) < 1e-10
    assert np.max(np.abs(theta - start)) < 1e-3
    return {
        "name": name,
        "items": n,
        "lambda": 2 * alpha,
        "wins": [list(pair) for pair in data],
        "strengths": [round(float(x), 12) for x in theta],
    }


def main():
    rng = random.Random(7)
    noisy = []
    for _ in range(200):
        a, b = rng.sample(range(8), 2)
        noisy.append((a, b) if rng.random() < 1 / (1 + np.exp(b * 0.4 - a * 0.4)) else (b, a))
    separable = [(a, b) for a in range(5) for b in range(a + 1, 5)] * 3
    cases = [
        case("noisy tournament", 8, noisy, 0.15),
        case("separable: the better one always wins", 5, separable, 0.15),
        case("cycle", 3, [(0, 1), (1, 2), (2, 0)] * 2 + [(0, 2)], 0.15),
        case("disconnected", 5, [(0, 1), (0, 1), (1, 0), (2, 3), (2, 3)], 0.15),
        case("weak prior", 8, noisy, 0.0005),
    ]
    print("[\n" + ",\n".join(json.dumps(one) for one in cases) + "\n]")


main()
