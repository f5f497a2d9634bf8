"""Turns the recorded answers and judgments of ../shared into rounds for `shoal-gateway rank` (docs/REPLAY.md).

    python3 gateway/consensus/examples/ranking/rounds.py ../shared/data/judgments /tmp/rounds

writes one JSON Lines file for each set. Nothing here is tuned: the rules are those of the data's README.
"""

import csv
import gzip
import io
import json
import math
import pathlib
import random
import statistics
import sys

# Models of at most 12 billion active parameters, with their sizes in billions.
SMALL = {
    "Meta-Llama-3-8B-Instruct": 8.0, "Meta-Llama-3.1-8B-Instruct": 8.0, "Mistral-Nemo-Instruct-2407": 12.2,
    "Mixtral-8x7B-Instruct-v0.1": 12.9, "Phi-3-mini-4k-instruct": 3.8, "Phi-3.5-mini-instruct": 3.8,
    "Qwen2-7B-Instruct": 7.6, "Qwen2.5-3B-Instruct": 3.1, "Qwen2.5-7B-Instruct": 7.6, "Yi-1.5-9B-Chat": 8.8,
    "gemma-2-2b-it": 2.6, "gemma-2-9b-it": 9.2, "Mistral-7B-Instruct-v0.3": 7.2,
}


def text(path):
    return gzip.open(path, "rt", encoding="utf-8").read()


def table(path):
    return list(csv.DictReader(io.StringIO(text(path))))


def lines(path):
    return [json.loads(line) for line in text(path).split("\n") if line.strip()]


def both_orders(judge, first, second, p):
    return [{"judge": judge, "first": first, "second": second, "p": p}]


def llmbar(folder):
    sets = {"llmbar-natural": [], "llmbar-adversarial": []}
    items = {}
    for row in table(folder / "llmbar/votes.csv.gz"):
        if row["strategy"] != "Vanilla" or row["rep"] != "0" or not row["subset"].startswith("LLMBar/"):
            continue
        items.setdefault((row["subset"], row["idx"]), []).append(row)
    for (subset, index), rows in sorted(items.items()):
        ballots = []
        for row in rows:
            if row["winner"] not in ("1", "2"):
                continue
            # `swapped`: the second output was shown first.
            first = 1 if row["swapped"] == "1" else 0
            p = 1.0 if int(row["winner"]) - 1 == first else 0.0
            ballots += both_orders(row["rater"], first, 1 - first, p)
        name = "llmbar-natural" if subset == "LLMBar/Natural" else "llmbar-adversarial"
        sets[name].append({"id": f"{subset} {index}", "candidates": [{}, {}], "ballots": ballots,
                           "gold": int(rows[0]["gold"]) - 1})
    return sets


def prd(folder):
    """A round for each pair that people judged: its two writers, the other three judge it too."""
    people = {}
    for row in table(folder / "prd_vicuna80/human_votes.csv.gz"):
        a, b = sorted((row["first"], row["second"]))
        vote = {"1": 1, "2": -1}.get(row["verdict"], 0) * (1 if row["first"] == a else -1)
        key = (row["question_id"], a, b)
        people[key] = people.get(key, 0) + vote
    peers = {}
    for row in table(folder / "prd_vicuna80/peer_votes.csv.gz"):
        key = (row["question_id"], *sorted((row["first"], row["second"])))
        peers.setdefault(key, []).append(row)
    rounds = []
    for key, vote in sorted(people.items()):
        if vote == 0 or key not in peers:
            continue
        question, a, b = key
        ballots = []
        for row in peers.get(key, []):
            p = {"1": 1.0, "2": 0.0}.get(row["verdict"], 0.5)
            first = 0 if row["first"] == a else 1
            ballots += both_orders(row["rater"], first, 1 - first, p)
        rounds.append({"id": f"prd {question} / {a} {b}", "ballots": ballots, "gold": 0 if vote > 0 else 1,
                       "candidates": [{"writer": a}, {"writer": b}]})
    return {"prd": rounds}


def zeroeval(folder):
    """Five of the small models write, three others judge: simulated at the README's rates."""
    sets = {}
    for name in ("gsm", "crux"):
        rounds = []
        normal = statistics.NormalDist()
        for row in table(folder / f"zeroeval/{name}_preds.csv.gz"):
            dice = random.Random(f"{name} {row['id']}")
            seats = [m for m in SMALL if row.get(m, "<missing>") != "<missing>"]
            dice.shuffle(seats)
            writers, judges = seats[:5], seats[-3:]
            answers = {m: row[m] if row[m] != "<none>" else f"<none> of {m}" for m in seats}
            mood = {}
            ballots = []
            shown = {}
            for at, writer in enumerate(writers):
                shown.setdefault(answers[writer], at)
            for judge in judges:
                approves = {}
                for answer, at in shown.items():
                    if answer == answers[judge] and judge in writers:
                        continue
                    right, alike = answer == row["gold"], answer == answers[judge]
                    rate = (0.98 if alike else 0.80) if right else (
                        0.88 if alike else 0.52 if answers[judge] == row["gold"] else 0.64)
                    common = mood.setdefault(at, dice.gauss(0, 1))
                    draw = math.sqrt(0.3) * common + math.sqrt(0.7) * dice.gauss(0, 1)
                    approves[at] = draw < normal.inv_cdf(rate)
                places = sorted(approves)
                for i, a in enumerate(places):
                    for b in places[i + 1:]:
                        for first, second in ((a, b), (b, a)):
                            p = 1.0 if approves[first] > approves[second] else 0.0
                            if approves[first] == approves[second]:
                                p = float(dice.random() < 0.5)
                            ballots += both_orders(judge, first, second, p)
            rounds.append({
                "id": row["id"], "ballots": ballots,
                "candidates": [{"writer": w, "answer": answers[w]} for w in writers],
                "gold": [at for at, w in enumerate(writers) if answers[w] == row["gold"]],
                "members": {w: {"parameters": int(SMALL[w] * 1e9)} for w in set(writers + judges)}})
        sets[f"zeroeval-{name}"] = rounds
    return sets


def peerreview(folder):
    """Four models write and judge the others. One point of the mean score is a clear preference; the source
    does not say how often a judge contradicts itself, so `flipped` is left out."""
    sets = {}
    for name in ("gsm8k400", "math400", "trivia_qa", "alpaca3"):
        rounds = []
        for row in lines(folder / f"peerreview/{name}.jsonl.gz"):
            answers = {m: a for m, a in row["answers"].items() if a["right"] is not None}
            writers = sorted(answers)
            ballots = []
            for judge, scores in sorted(row["triple"].items()):
                pairs = []
                for i, a in enumerate(writers):
                    for j in range(i + 1, len(writers)):
                        b = writers[j]
                        if judge in (a, b) or scores.get(a) is None or scores.get(b) is None:
                            continue
                        lead = max(-1.0, min(1.0, scores[a] - scores[b]))
                        pairs.append({"a": i, "b": j, "p": 0.5 + 0.5 * lead})
                if pairs:
                    ballots.append({"judge": judge, "pairs": pairs})
            candidates = []
            for writer in writers:
                key = answers[writer]["key"]
                candidate = {"writer": writer, "answer": key if key is not None else f"none of {writer}"}
                candidates.append(candidate if name != "alpaca3" else {"writer": writer})
            rounds.append({
                "id": row["id"], "question": row["question"] or "", "candidates": candidates,
                "ballots": ballots,
                "gold": [at for at, w in enumerate(writers) if answers[w]["right"] == 1],
                "members": {w: {"parameters": int(SMALL[w] * 1e9)} for w in writers}})
        sets[f"peer-{name.rstrip('0123456789')}"] = rounds
    return sets


def rankedvoting(folder):
    """Eight samples of one model are eight members: each writes its first choice and ranks the others'."""
    rounds = []
    for row in lines(folder / "rankedvoting/csqa_votes.jsonl.gz"):
        ranks = [(f"sample {at}", r) for at, r in enumerate(row["rankings"]) if r][:8]
        if not ranks:
            continue
        candidates = [{"writer": name, "answer": rank[0]} for name, rank in ranks]
        first_of = {}
        for at, (_, rank) in enumerate(ranks):
            first_of.setdefault(rank[0], at)
        ballots = []
        for name, rank in ranks:
            others = [choice for choice in rank[1:] if choice in first_of]
            for i, better in enumerate(others):
                for worse in others[i + 1:]:
                    a, b = first_of[better], first_of[worse]
                    ballots.append({"judge": name, "pairs": [{"a": a, "b": b, "p": 1.0}]})
        rounds.append({"id": row["id"], "candidates": candidates, "ballots": ballots,
                       "gold": [at for at, (_, rank) in enumerate(ranks) if rank[0] == row["gold"]]})
    return {"csqa": rounds}


def codet(folder):
    """Five draws of eight programs a task. Programs that pass the same tests are one answer; the tests,
    each weighted by how many samples wrote it, are one judge."""
    rounds = []
    for row in lines(folder / "codet/humaneval_codegen16b.jsonl.gz"):
        weights = [test["count"] for test in row["tests"]]
        for draw in range(5):
            dice = random.Random(f"{row['id']} {draw}")
            programs = [row["programs"][at] for at in dice.sample(row["program_of_sample"], 8)]
            share = [sum(w for w, p in zip(weights, program["passes"]) if p == "1") / max(1, sum(weights))
                     for program in programs]
            pairs = [{"a": a, "b": b, "p": 0.5 + 0.5 * (share[a] - share[b])}
                     for a in range(8) for b in range(a + 1, 8)]
            rounds.append({
                "id": f"{row['id']} / {draw}",
                "candidates": [{"writer": f"sample {at}", "answer": f"passes {program['passes']}"}
                               for at, program in enumerate(programs)],
                "ballots": [{"judge": "tests", "pairs": pairs}],
                "gold": [at for at, program in enumerate(programs) if program["right"]]})
    return {"codet": rounds}


def main():
    source, target = (pathlib.Path(argument) for argument in sys.argv[1:3])
    target.mkdir(parents=True, exist_ok=True)
    for read in (llmbar, prd, zeroeval, peerreview, rankedvoting, codet):
        for name, rounds in read(source).items():
            for one in rounds:
                one.setdefault("kind", name)
            body = "".join(json.dumps(one) + "\n" for one in rounds)
            (target / f"{name}.jsonl").write_text(body)
            print(name, len(rounds))


if __name__ == "__main__":
    main()
