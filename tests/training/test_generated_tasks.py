"""Every generated task trains, validates and answers with families of every kind."""

import json

import pytest
import yaml

from xlmgen import resources
from xlmgen.cli import main
from xlmgen.data.task import load_task
from xlmgen.registry import load_family
from xlmgen.tasks.find import find_tasks

TASKS = [
    name
    for name, path in find_tasks()
    if "generator" in load_task(path).source and not name.startswith("star")
]
TINY = [name for name in TASKS if name.endswith("_tiny")]
FAMILIES = sorted(
    path.parents[1].name
    for path in (resources.root() / "families").glob("*/experiments/star_tiny.yaml")
)
OTHERS = [name for name in FAMILIES if name not in ("arlm", "mdlm")]
PAIRS = [
    *((task, "arlm") for task in TINY),
    *((task, "mdlm") for task in TASKS),
    *((TINY[i % len(TINY)], family) for i, family in enumerate(OTHERS)),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "family"), PAIRS, ids=map("-".join, PAIRS))
def test_it_trains_and_answers(name, family, project, two_steps, capsys):
    document = dict(load_task(name).document)
    sizes = {"train": 8, "validation": 3, "test": 3}
    document["source"] = {**document["source"], "sizes": sizes}
    (project / "small.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
    shipped = resources.root() / "families" / family / "experiments" / "star_tiny.yaml"
    words = ["train", str(shipped), "task=./small.yaml", *two_steps, "--run-dir", "run"]
    words.append("training.stop_when={}")  # the shipped task's own metric
    if document["layout"] not in load_family(family).collators:
        assert main(words) == 2  # a causal model cannot see behind a hole
        assert "no collator 'infill'" in capsys.readouterr().err
        return
    assert main(words) == 0
    assert main(["eval", "run"]) == 0
    (results,) = (project / "run" / "results").glob("*.json")
    scores = json.loads(results.read_text())["scores"]
    assert list(scores) == document["metrics"]
    assert all(0 <= score <= 1 for score in scores.values())
    (predictions,) = (project / "run" / "predictions").glob("*.jsonl")
    assert len(predictions.read_text().splitlines()) == sizes["test"]
    assert main(["generate", "run", "--num", "1"]) == 0
