"""Writes what a peer is trained on: our rows, in our order, at our learning rates.

python -m benchmarks.learn.export RUN EXPERIMENT.yaml [KEY=VALUE …]
"""

import sys
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.learn.rows import Pairs, Rows
from benchmarks.learn.runs import NUMBERS, ROWS
from xlmgen.data.datamodule import DataModule
from xlmgen.data.task import load_task
from xlmgen.errors import UserError
from xlmgen.experiment import resolve
from xlmgen.experiment.family_check import family_folder
from xlmgen.experiment.settings import Experiment
from xlmgen.io.files import write_json
from xlmgen.registry import load_family, pin
from xlmgen.runs.build import data_module
from xlmgen.runtime.special_tokens import SPECIAL_TOKENS
from xlmgen.training.schedule import learning_rate_factor

SPLITS = ("train", "validation", "test")
FOLLOWED = {
    "optimizer": {"kind": "adamw"},
    "accumulate": 1,
    "devices": 1,
    "num_nodes": 1,
    "ema_decay": None,
}
"""The only values of these settings that a peer's training follows."""
DROPOUT = 0.1
"""Of the peer's own configurations."""


def export(experiment: Experiment, folder: Path) -> None:
    """Write `rows.npz` and `peer.json` into a run folder.

    Raises:
        UserError: the peer cannot be trained so.
    """
    settings = experiment.training
    for key, value in FOLLOWED.items():
        if (asked := experiment.data["training"][key]) != value:
            raise UserError(
                f"training.{key} is {asked}; xlm-core is trained with {value}",
                "change it, or leave --against xlm-core out",
            )
    source = family_folder(experiment)
    pin(source.parent)
    family = load_family(source.name)
    task = load_task(experiment.task)
    if task.layout != "seq2seq":
        raise UserError(
            f"task {task.name} has the layout {task.layout}",
            "--against xlm-core takes tasks of the layout seq2seq",
        )
    rows = rows_of(data_module(experiment, task, family), experiment)
    rows.save(folder / ROWS)
    longest = max(len(prompt) for p in rows.splits.values() for prompt in p.prompt)
    network = {**family.sizes[experiment.size], **experiment.model}
    write_json(
        folder / NUMBERS,
        {
            "family": family.name,
            "content_tokens": task.tokenizer.special.vocab_size - len(SPECIAL_TOKENS),
            "prompt": longest,
            "answer": task.max_length.answer,
            **{key: network[key] for key in ("d_model", "layers", "num_heads")},
            "dropout": experiment.model.get("dropout", DROPOUT),
            **{key: getattr(settings, key) for key in TRAINING},
            "eval_batch_size": experiment.evaluation.batch_size,
            "generate": experiment.evaluation.generate,
        },
    )


TRAINING = (
    "max_steps",
    "weight_decay",
    "betas",
    "gradient_clip",
    "precision",
    "seed",
    "log_every",
    "validate_every",
    "checkpoint_every",
)
"""Settings of `training` that the peer follows, beside those in `rows.npz`."""


def rows_of(data: DataModule, experiment: Experiment) -> Rows:
    """The rows of a data module, with the batches of a training."""
    settings = experiment.training
    _, requests = data.training_batches()
    order = [request.rows for request in islice(requests, settings.max_steps)]
    factor = learning_rate_factor(settings)
    rates = [settings.learning_rate * factor(done) for done in range(len(order))]
    splits = {split: pairs(data.task.examples(split)) for split in SPLITS}
    return Rows(splits, np.array(order), np.array(rates))


def pairs(examples: Sequence[Any]) -> Pairs:
    """Prompts and targets without special tokens, their ids counted from 0.

    Raises:
        UserError: a special token is among them.
    """
    special = len(SPECIAL_TOKENS)
    found: dict[str, list[list[int]]] = {"prompt": [], "target": []}
    for example in examples:
        for part, rows in found.items():
            ids = [int(id_) - special for id_ in example[part]]
            if min(ids, default=0) < 0:
                raise UserError(
                    "the rows hold special tokens, which have other ids in xlm-core",
                    "leave --against xlm-core out",
                )
            rows.append(ids)
    return Pairs(**found)


def main(arguments: Sequence[str]) -> int:
    folder, experiment, *overrides = arguments
    try:
        export(resolve(experiment, overrides), Path(folder))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
