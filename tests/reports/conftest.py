"""Runs whose results a test knows: copies of one trained and evaluated run."""

import csv
import json
import shutil

import pytest
import yaml

from xlmgen.cli import main

ROWS = 41
"""Test rows of the stand-in task."""


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """A folder for the trained run, which the first test fills."""
    return tmp_path_factory.mktemp("trained") / "run"


@pytest.fixture
def make_run(project, trained, capsys):
    """Return a function that makes a run with these results."""
    if not trained.exists():
        assert main(["train", "toy.yaml", "--run-dir", str(trained)]) == 0
        assert main(["eval", str(trained)]) == 0
        capsys.readouterr()

    def make(name, *, seed=0, rate=0.01, right=10, nats=None, curve=(), speed=(2, 100)):
        """Make a run folder.

        Args:
            right: number of right answers, the first of all.
            nats: per token, 4 tokens in every row.
            curve: pairs of a step and an exact match in validation.
            speed: steps and tokens per second.
        """
        run = project / name
        shutil.copytree(trained, run)
        file = run / "experiment.yaml"
        data = yaml.safe_load(file.read_text())
        data["training"] |= {"seed": seed, "learning_rate": rate}
        file.write_text(yaml.safe_dump(data))
        answer(run, right)
        if nats is not None:
            likelihood(run, nats)
        table(
            run / "metrics.csv",
            ["step", "train/loss", "val/exact_match", "val/loss"],
            [(step, 1.5, value, 2 - value) for step, value in curve],
        )
        names = ["step", "speed/steps_per_s", "speed/tokens_per_s"]
        table(run / "throughput.csv", names, [(4, *speed), (12, *speed)])
        return run

    return make


def answer(run, right, name="test", **results):
    """Write an evaluation in which the first rows are right."""
    rows = [json.loads(line) for line in lines(run / "predictions/test.jsonl")]
    for row in rows:
        row |= {"exact_match": float(row["row"] < right), "correct": row["row"] < right}
    text = "".join(f"{json.dumps(row)}\n" for row in rows)
    (run / f"predictions/{name}.jsonl").write_text(text)
    found = json.loads((run / "results/test.json").read_text())
    found["scores"] = {"exact_match": right / ROWS}
    found["scores_error"] = {"exact_match": 0.01}
    (run / f"results/{name}.json").write_text(json.dumps(found | results))


def likelihood(run, nats):
    """Write the likelihood of every row."""
    file = run / "results/test.json"
    found = json.loads(file.read_text())
    found["loss"]["data_nll"] = nats
    file.write_text(json.dumps(found))
    row = {"nats": 4 * nats, "tokens": 4}
    rows = [{"row": n, "example": str(n), **row} for n in range(ROWS)]
    text = "".join(f"{json.dumps(one)}\n" for one in rows)
    (run / "results/test.rows.jsonl").write_text(text)


def lines(path):
    return path.read_text().splitlines()


def table(path, names, rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([names, *rows])


@pytest.fixture
def four(make_run):
    """Two seeds of two learning rates, and their numbers of right answers."""
    right = {"slow-seed0": 10, "slow-seed1": 12, "fast-seed0": 15, "fast-seed1": 21}
    for name, count in right.items():
        slow = name.startswith("slow")
        seed = int(name[-1])
        make_run(
            name,
            seed=seed,
            rate=0.01 if slow else 0.1,
            right=count,
            nats=count / 10,
            curve=[(4, 0.25), (8, 0.5), *([(12, 0.75)] if seed else [])],
            speed=(2, 100) if slow else (2, 200),
        )
    return right
