"""GPT-2 of the transformers library, trained on the batches of an experiment.

    python -m benchmarks.learn.gpt2 RUN EXPERIMENT.yaml [KEY=VALUE …]

The yardstick for `arlm`: the same rows in the same order, the same AdamW and schedule,
and the same validation, with the published network and its own initialisation.
"""

import json
import math
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import AdamW
from transformers import GPT2Config, GPT2LMHeadModel

from xlmgen.data.datamodule import DataModule
from xlmgen.data.task import load_task
from xlmgen.experiment import resolve
from xlmgen.experiment.family_check import family_folder
from xlmgen.experiment.settings import Experiment, Training
from xlmgen.registry import load_family, pin
from xlmgen.runs.build import data_module
from xlmgen.runs.metrics import read_rows
from xlmgen.training.metrics_file import MetricsFile
from xlmgen.training.schedule import learning_rate_factor

Row = dict[str, str]
SUPPORTED = {
    "optimizer": {"kind": "adamw"},
    "precision": "32-true",
    "accumulate": 1,
    "devices": 1,
    "ema_decay": None,
}
"""Settings of `training` that would change the result and are not followed here."""


def train_gpt2(
    experiment_path: str | Path, overrides: Sequence[str], out_dir: Path
) -> list[Row]:
    """Train GPT-2 as an experiment of `arlm` says, on the CPU.

    Args:
        experiment_path: of an experiment whose family predicts the next token
            (`input_ids`, `target_ids`), on a task of the layout lm.
        overrides: `key.path=value`, as of `xlmgen train`.
        out_dir: gets `metrics.csv`, with the columns of a run, and `gpt2.json`: the
            network, its parameters, and seconds. A finished training is not repeated.

    Returns:
        The rows of `metrics.csv`. `val/loss` is in nats per token, on all rows of the
        validation split, at the steps at which the experiment validates.

    Raises:
        UserError: the experiment has a mistake.
        ValueError: it asks for a setting that is not followed here.
    """
    experiment = resolve(experiment_path, overrides)
    settings = experiment.training
    for key, value in SUPPORTED.items():
        if (asked := experiment.data["training"][key]) != value:
            raise ValueError(
                f"training.{key} is {asked}; GPT-2 is trained with {value}"
            )
    curve = out_dir / "metrics.csv"
    rows = read_rows(curve)
    if rows and int(rows[-1]["step"]) == settings.max_steps:
        return rows
    data, numbers = parts(experiment)
    torch.manual_seed(settings.seed)
    model = GPT2LMHeadModel(_config(data, numbers))
    out_dir.mkdir(parents=True, exist_ok=True)
    began = time.perf_counter()
    _fit(model, data, experiment, MetricsFile(curve))
    about = {
        "config": model.config.to_diff_dict(),
        "parameters": model.num_parameters(),
        "seconds": time.perf_counter() - began,
        "threads": torch.get_num_threads(),
    }
    (out_dir / "gpt2.json").write_text(json.dumps(about, indent=1) + "\n", "utf-8")
    return read_rows(curve)


def parts(experiment: Experiment) -> tuple[DataModule, dict[str, Any]]:
    """The batches of an experiment, and the numbers of its network."""
    folder = family_folder(experiment)
    pin(folder.parent)
    family = load_family(folder.name)
    data = data_module(experiment, load_task(experiment.task), family)
    return data, {**family.sizes[experiment.size], **experiment.model}


def _config(data: DataModule, numbers: Mapping[str, Any]) -> GPT2Config:
    """GPT-2 with the layers, heads, width and dropout of the experiment's network."""
    special, dropout = data.task.tokenizer.special, numbers.get("dropout", 0.0)
    return GPT2Config(
        vocab_size=special.vocab_size,
        n_positions=data.task.max_length.length,
        n_embd=numbers["d_model"],
        n_layer=numbers["layers"],
        n_head=numbers["num_heads"],
        n_inner=numbers.get("ffn"),
        resid_pdrop=dropout,
        embd_pdrop=dropout,
        attn_pdrop=dropout,
        bos_token_id=special.bos,
        eos_token_id=special.eos,
        use_cache=False,
    )


def _fit(
    model: GPT2LMHeadModel,
    data: DataModule,
    experiment: Experiment,
    curve: MetricsFile,
) -> None:
    settings = experiment.training
    optimizer = _optimizer(model, settings)
    factor = learning_rate_factor(settings)
    batches, requests = data.training_batches()
    losses: list[Tensor] = []
    model.train()
    for step, request in zip(range(1, settings.max_steps + 1), requests, strict=False):
        rate = settings.learning_rate * factor(step - 1)
        for group in optimizer.param_groups:
            group["lr"] = rate
        nll, tokens = _nll(model, batches[request])
        optimizer.zero_grad()
        torch.autograd.backward(nll / tokens)
        if settings.gradient_clip is not None:
            nn.utils.clip_grad_norm_(model.parameters(), settings.gradient_clip)
        optimizer.step()
        losses.append(nll.detach() / tokens)
        last = step == settings.max_steps
        if step % settings.log_every == 0 or last:
            mean = math.fsum(torch.stack(losses).tolist()) / len(losses)
            curve.log_metrics({"train/loss": mean, "train/lr": rate}, step)
            losses = []
        if step % settings.validate_every == 0 or last:
            curve.log_metrics({"val/loss": validation_loss(model, data)}, step)


@torch.inference_mode()
def validation_loss(model: GPT2LMHeadModel, data: DataModule) -> float:
    """Nats per token of the whole validation split."""
    batches, requests = data.evaluation_batches("validation")
    model.train(False)
    sums = [_nll(model, batches[request]) for request in requests]
    model.train()
    return math.fsum(float(nll) for nll, _ in sums) / sum(count for _, count in sums)


def _nll(model: GPT2LMHeadModel, batch: Mapping[str, Any]) -> tuple[Tensor, int]:
    """Nats of all targets of a batch, (), and how many there are.

    Pads are on the right, where causal attention does not look, and are no targets.
    """
    targets = batch["target_ids"].flatten()
    logits = model(batch["input_ids"]).logits.flatten(0, 1)
    nll = cross_entropy(logits, targets, ignore_index=-100, reduction="sum")
    return nll, int((targets != -100).sum())


def _optimizer(model: GPT2LMHeadModel, settings: Training) -> AdamW:
    """AdamW; matrices decay, but for the embeddings, one of which is the head too."""
    embeddings = {
        id(module.weight)
        for module in model.modules()
        if isinstance(module, nn.Embedding)
    }
    decay: list[nn.Parameter] = []
    rest: list[nn.Parameter] = []
    for parameter in model.parameters():
        matrix = parameter.ndim >= 2 and id(parameter) not in embeddings
        (decay if matrix else rest).append(parameter)
    groups = [
        {"params": decay, "weight_decay": settings.weight_decay},
        {"params": rest, "weight_decay": 0.0},
    ]
    return AdamW(groups, lr=settings.learning_rate, betas=settings.betas, fused=True)


def main(arguments: Sequence[str]) -> int:
    folder, experiment, *overrides = arguments
    train_gpt2(experiment, overrides, Path(folder))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
