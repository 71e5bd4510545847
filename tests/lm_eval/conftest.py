"""Tiny runs, and tasks of the harness on local data."""

import json
import os
from pathlib import Path

import pytest
import yaml

from xlmgen.cli import main

TEXTS = ["abc", "bca", "cab", "abca"] * 10
TASK = {
    "spec": "xlmgen/task/v1",
    "name": "letters",
    "layout": "lm",
    "max_length": {"length": 10},
    "source": {"files": dict.fromkeys(("train", "validation", "test"), "letters.txt")},
    "tokenizer": {"kind": "character"},
    "metrics": ["length"],
}
SUMS = [{"prompt": f"{a}+{b}=", "target": str(a + b)} for a in range(9) for b in (1, 2)]


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """Run folder of a family: on texts of a, b and c, or on sums (`seq2seq`)."""
    folder = tmp_path_factory.mktemp("lm_eval")
    (folder / "letters.txt").write_text("\n".join(TEXTS))
    (folder / "sums.jsonl").write_text("\n".join(map(json.dumps, SUMS)))
    sums = {
        **TASK,
        "name": "sums",
        "layout": "seq2seq",
        "max_length": {"prompt": 12, "answer": 4},
        "source": {"files": dict.fromkeys(TASK["source"]["files"], "sums.jsonl")},
        "metrics": ["exact_match"],
    }
    for task in (TASK, sums):
        (folder / f"{task['name']}.yaml").write_text(yaml.safe_dump(task))

    def train(family, task="letters", **model):
        run = folder / f"{family}-{task}"
        if run.exists():
            return run
        experiment = {
            "spec": "xlmgen/experiment/v1",
            "family": family,
            "task": f"./{task}.yaml",
            "size": "tiny",
            "model": {"d_model": 16, "num_heads": 2, "layers": 1, **model},
            "training": {"max_steps": 8, "batch_size": 8, "learning_rate": 0.01},
            "evaluation": {"generate": 0, "batch_size": 16, "bound_samples": 2},
            "loggers": [],
        }
        path = folder / f"{family}-{task}.yaml"
        path.write_text(yaml.safe_dump(experiment))
        before = os.environ.get("XLMGEN_PINNED", "")
        assert main(["train", str(path), "--run-dir", str(run)]) == 0
        os.environ["XLMGEN_PINNED"] = before
        return run

    return train


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with tasks of the harness: `choice`, `texts` and `sums`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XLMGEN_PINNED", "")
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "datasets"))
    rows = {
        "choice": [
            {"text": "ab", "choices": ["c", "ca", "a"], "label": 0},
            {"text": "bc", "choices": ["a", "c", "ba"], "label": 0},
        ],
        "texts": [{"text": "abca"}, {"text": "abcabcabcabcabcabc"}],
        "sums": [{"text": "1+1=", "answer": "2"}, {"text": "3+1=", "answer": "4"}],
    }
    asked = {
        "choice": {
            "output_type": "multiple_choice",
            "doc_to_text": "{{text}}",
            "doc_to_choice": "choices",
            "doc_to_target": "label",
            "metric_list": [{"metric": "acc"}],
        },
        "texts": {
            "output_type": "loglikelihood_rolling",
            "doc_to_text": "",
            "doc_to_target": "{{text}}",
            "metric_list": [{"metric": "bits_per_byte"}],
        },
        "sums": {
            "output_type": "generate_until",
            "doc_to_text": "{{text}}",
            "doc_to_target": "{{answer}}",
            "generation_kwargs": {"until": ["+"], "max_gen_toks": 3},
            "metric_list": [{"metric": "exact_match"}],
        },
    }
    for name, task in asked.items():
        Path(f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows[name])))
        settings = {
            "task": name,
            "dataset_path": "json",
            "dataset_kwargs": {"data_files": {"test": str(tmp_path / f"{name}.jsonl")}},
            "test_split": "test",
            "target_delimiter": "",
            "fewshot_delimiter": "\n",
            **task,
        }
        Path(f"{name}.yaml").write_text(yaml.safe_dump(settings))
    return tmp_path
