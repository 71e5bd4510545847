"""The data module: collators by layout, every row once, for any number of workers."""

import os
import subprocess
import sys
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import pytest
import torch
import yaml

import xlmgen
from xlmgen.data.datamodule import DataModule
from xlmgen.data.task import load_task
from xlmgen.distributed import processes
from xlmgen.errors import UserError
from xlmgen.runtime.collate.layout import lm_layout, prompt_layout, seq2seq_layout

USES = ("lm", "seq2seq", "infill", "unconditional", "predict", "predict_infill")


class Collator:
    """Fake collator with a layout and some noise."""

    use = ""

    def __init__(self, tokens, max_length, evaluation=False):
        self.tokens, self.max_length, self.evaluation = tokens, max_length, evaluation

    def __call__(self, examples, generator):
        options = {"bos": True, "eos": True, "pad_to_max_length": False}
        args = examples, self.tokens, self.max_length
        match self.use:
            case "seq2seq":
                ids = seq2seq_layout(*args, **options).ids
            case "lm":
                ids = lm_layout(*args, **options).ids
            case _:
                ids = prompt_layout(*args, bos=True).ids
        noise = torch.rand(len(examples), generator=generator)
        use = f"{self.use} evaluation" if self.evaluation else self.use
        return {"use": use, "ids": ids, "noise": noise}


@dataclass
class FakeFamily:
    name: str = "fake"
    collators: dict = field(
        default_factory=lambda: {
            use: type("Collator", (Collator,), {"use": use}) for use in USES
        }
    )


def module(task="star_tiny", family=None, **options):
    task = load_task(task) if isinstance(task, str) else task
    options = {"batch_size": 8, "eval_batch_size": 32, "seed": 1} | options
    return DataModule(task, family or FakeFamily(), **options)


@pytest.fixture
def text(tmp_path):
    """Factory that writes and loads an lm task."""

    def write(**keys):
        (tmp_path / "a.txt").write_text(
            "\n".join("abcdefghij"[: n % 9] for n in range(60))
        )
        files = dict.fromkeys(("train", "validation", "test"), "a.txt")
        task = {
            "spec": "xlmgen/task/v1",
            "name": "letters",
            "layout": "lm",
            "max_length": {"length": 12},
            "source": {"files": files},
            "tokenizer": {"kind": "byte"},
        }
        (tmp_path / "t.yaml").write_text(yaml.safe_dump(task | keys))
        return load_task(tmp_path / "t.yaml")

    return write


def content(batches):
    return [(b["use"], b["ids"].tolist(), b["noise"].tolist()) for b in batches]


def test_layout_selects_collator(text):
    data = module()
    assert next(iter(data.train_dataloader()))["use"] == "seq2seq"
    assert next(iter(data.val_dataloader()))["use"] == "seq2seq evaluation"
    batch, _ = next(iter(data.predict_dataloader()))
    assert batch["use"] == "predict"
    data = module(text())
    assert next(iter(data.train_dataloader()))["use"] == "lm"
    assert next(iter(data.test_dataloader()))["use"] == "lm evaluation"
    batch, rows = next(iter(data.predict_dataloader(limit=5)))
    assert batch["use"] == "unconditional"
    assert rows == (0, 1, 2, 3, 4)
    assert batch["ids"].tolist() == [[1]] * 5


def test_missing_collator_of_family_is_reported():
    family = FakeFamily(collators={"lm": Collator, "unconditional": Collator})
    with pytest.raises(UserError) as error:
        module(family=family).train_dataloader()
    for part in ("fake", "'seq2seq'", "star_tiny", "lm, unconditional"):
        assert part in str(error.value)


@pytest.mark.parametrize("split", ["validation", "test"])
def test_evaluation_covers_every_row_of_its_split(split):
    data = module()
    loader = data.val_dataloader() if split == "validation" else data.test_dataloader()
    examples = data.task.examples(split)
    expected = [[*e["prompt"].tolist(), 1, *e["target"].tolist(), 2] for e in examples]
    rows = [row for batch in loader for row in batch["ids"].tolist()]
    assert rows == expected  # star_tiny's rows are all equally long: no pads


def test_run_seed_changes_training_but_not_evaluation():
    one, two = module(seed=1), module(seed=2)
    assert content(one.val_dataloader()) == content(two.val_dataloader())
    assert content(one.val_dataloader()) == content(one.val_dataloader())
    first, second = (content(islice(m.train_dataloader(), 3)) for m in (one, two))
    assert first != second
    assert first == content(islice(module(seed=1).train_dataloader(), 3))


def test_generation_returns_row_indices_of_targets():
    data = module()
    examples = data.task.examples("validation")
    seen = []
    for batch, rows in data.predict_dataloader("validation"):
        assert len(rows) <= 32
        for ids, row in zip(batch["ids"].tolist(), rows, strict=True):
            assert ids == [*examples[row]["prompt"].tolist(), 1]
        seen += rows
    assert seen == list(range(len(examples)))
    limited = [r for _, rows in data.predict_dataloader("test", 40) for r in rows]
    assert limited == list(range(40))
    with pytest.raises(UserError, match="'dev'"):
        data.predict_dataloader("dev")


def test_loader_continues_at_start_batch():
    whole = content(islice(module().train_dataloader(), 9))
    data = module()
    data.start_batch = 4
    assert content(islice(data.train_dataloader(), 5)) == whole[4:]


def test_processes_split_the_rows(monkeypatch):
    parts = []
    for rank in (0, 1):
        data = module()
        monkeypatch.setattr(processes, "count", lambda: 2)
        monkeypatch.setattr(processes, "rank", lambda rank=rank: rank)
        parts.append([r for _, rows in data.predict_dataloader("test") for r in rows])
        assert next(iter(data.train_dataloader()))["ids"].shape[0] == 8
    assert sorted(parts[0] + parts[1]) == list(range(1000))
    assert not set(parts[0]) & set(parts[1])
    assert all(parts)


def test_collator_gets_complete_packed_rows(text):
    task = text(packing="packed")
    rows = [
        row for batch in module(task).val_dataloader() for row in batch["ids"].tolist()
    ]
    assert all(row[0] == 1 for row in rows)
    stream = [id_ for row in rows for id_ in row[1:] if id_]
    documents = [line for line in ("abcdefghij"[: n % 9] for n in range(60)) if line]
    expected = [i for d in documents for i in (*task.tokenizer.encode(d), 2)]
    assert stream == expected


def test_collator_gets_document_numbers_of_packed_documents(text):
    examples = text(packing="documents").examples("train")
    assert {len(e["tokens"]) for e in examples[:-1]} == {len(examples[0]["tokens"])}
    for example in examples:
        begins = example["tokens"] == 1
        assert example["documents"].tolist() == begins.cumsum().tolist()


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_batches_are_independent_of_worker_count():
    one = content(islice(module().train_dataloader(), 6))
    two = content(islice(module(num_workers=2).train_dataloader(), 6))
    assert one == two
    assert content(module().val_dataloader()) == content(
        module(num_workers=2).val_dataloader()
    )


SPAWN = """
from itertools import islice
import torch
from types import SimpleNamespace
from xlmgen.data.datamodule import DataModule
from xlmgen.runtime.collate.layout import seq2seq_layout
from xlmgen.data.task import load_task

class Collator:
    def __init__(self, tokens, max_length):
        self.tokens, self.max_length = tokens, max_length

    def __call__(self, examples, generator):
        layout = seq2seq_layout(
            *(examples, self.tokens, self.max_length),
            bos=True,
            eos=True,
            pad_to_max_length=False,
        )
        return layout.ids.tolist(), torch.rand(3, generator=generator).tolist()

if __name__ == "__main__":
    family = SimpleNamespace(name="fake", collators={"seq2seq": Collator})
    task = load_task("star_tiny")
    options = dict(batch_size=8, eval_batch_size=8, seed=1)
    here = DataModule(task, family, **options)
    there = DataModule(task, family, **options, num_workers=2, start_method="spawn")
    one, two = (list(islice(m.train_dataloader(), 5)) for m in (here, there))
    assert one == two
    print("same")
"""


@pytest.mark.slow
def test_spawned_workers_give_the_same_batches(tmp_path):
    script = tmp_path / "spawn.py"
    script.write_text(SPAWN)
    top = str(Path(xlmgen.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": top},
        capture_output=True,
        text=True,
    )
    assert done.stdout == "same\n", done.stderr


def test_by_length_option_batches_similar_lengths(tmp_path, monkeypatch):
    monkeypatch.setenv("XLMGEN_CACHE", str(tmp_path / "cache"))
    (tmp_path / "a.txt").write_text("\n".join("x" * (i % 40 + 1) for i in range(160)))
    (tmp_path / "some.yaml").write_text(
        "spec: xlmgen/task/v1\nname: some\nlayout: lm\nmax_length: {length: 30}\n"
        "source: {files: {train: a.txt, validation: a.txt, test: a.txt}}\n"
        "tokenizer: {kind: byte}\noverflow: truncate\n"
    )
    task = load_task(tmp_path / "some.yaml")

    def widths(**options):
        batches = islice(module(task, **options).train_dataloader(), 20)
        return [batch["ids"].shape[1] for batch in batches]

    assert task.examples("train").lengths.max() == 28  # as they are cut
    assert sum(widths(by_length=True)) < 0.75 * sum(widths())
