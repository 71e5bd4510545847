"""Trains a peer on exported rows, resumably. Imports nothing of xlmgen."""

import csv
import json
import math
import os
import random
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from statistics import stdev
from types import FrameType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.learn.rows import Pairs, Rows

ROWS, NUMBERS = "rows.npz", "peer.json"
STATE, BEST = "state.pt", "best.pt"
VALIDATION_SEED = 20_240_607
Example = dict[str, list[int]]


@dataclass(frozen=True)
class Peer:
    """A family as the peer builds it.

    Args:
        model: in training mode.
        groups: the optimiser's groups of parameters.
        collate: from prompts and targets to a batch.
        loss: from a batch to the number to minimise.
        answer: from prompts and targets to the generated answers without special
            tokens; the targets are not looked at.
    """

    model: nn.Module
    groups: list[dict[str, Any]]
    collate: Callable[[list[Example]], Any]
    loss: Callable[[Any], Tensor]
    answer: Callable[[list[Example]], list[list[int]]]


@dataclass
class State:
    """What a checkpoint holds beside weights, optimiser and random numbers.

    Args:
        step: optimiser steps taken.
        losses, norms: of the steps since the last row of `metrics.csv`.
        best: the smallest validation loss.
    """

    step: int = 0
    losses: list[float] = field(default_factory=list)
    norms: list[float] = field(default_factory=list)
    best: float = math.inf


class Fit:
    """A training of a peer in its run folder.

    Args:
        folder: holds `rows.npz` and `peer.json`.
        build: makes the peer from the numbers in `peer.json`.
    """

    def __init__(
        self, folder: Path, build: Callable[[Mapping[str, Any]], Peer]
    ) -> None:
        self.folder = folder
        self.numbers = json.loads((folder / NUMBERS).read_text("utf-8"))
        self.rows = Rows.load(folder / ROWS)
        seed_all(self.numbers["seed"])
        self.peer = build(self.numbers)
        self.optimizer = torch.optim.AdamW(
            self.peer.groups,
            lr=1.0,  # every step sets it
            betas=tuple(self.numbers["betas"]),
            weight_decay=self.numbers["weight_decay"],
            fused=True,
        )
        self.state = State()
        self._stopped_by = 0

    def go(self) -> int:
        """Train to the last step, from the last checkpoint on.

        Returns:
            0, or 128 plus the number of the signal that stopped it; it has saved then.
        """
        stopping = (signal.SIGINT, signal.SIGTERM)
        earlier = {signum: signal.signal(signum, self._receive) for signum in stopping}
        try:
            return self._train()
        finally:
            for signum, handler in earlier.items():
                signal.signal(signum, handler)

    def _train(self) -> int:
        self._load()
        metrics = Table(self.folder / "metrics.csv", self.state.step)
        speed = Table(self.folder / "throughput.csv", self.state.step)
        every, last = self.numbers, self.numbers["max_steps"]
        since, steps = time.perf_counter(), 0
        while self.state.step < last:
            self._step()
            step, steps = self.state.step, steps + 1
            if step % every["log_every"] == 0 or step == last:
                seconds = time.perf_counter() - since
                speed.add(step, {"speed/steps_per_s": steps / max(seconds, 1e-9)})
                metrics.add(step, self._training())
                steps, since = 0, time.perf_counter()
            pause = time.perf_counter()
            if step % every["validate_every"] == 0 or step == last:
                metrics.add(step, self._validate())
            stopped = self._stopped_by
            if step % every["checkpoint_every"] == 0 or step == last or stopped:
                self._save()
            since += time.perf_counter() - pause
            if stopped and step < last:
                return 128 + stopped
        return 0

    def _receive(self, signum: int, frame: FrameType | None) -> None:
        self._stopped_by = signum

    def _step(self) -> None:
        state = self.state
        batch = self.peer.collate(examples(self.rows, state.step))
        for group in self.optimizer.param_groups:
            group["lr"] = float(self.rows.learning_rate[state.step])
        self.optimizer.zero_grad(set_to_none=True)
        with self._autocast():
            loss = self.peer.loss(batch)
        torch.autograd.backward(loss)
        clip = self.numbers["gradient_clip"]
        norm = nn.utils.clip_grad_norm_(
            self.peer.model.parameters(), math.inf if clip is None else clip
        )
        self.optimizer.step()
        state.losses.append(float(loss.detach()))
        state.norms.append(float(norm))
        state.step += 1

    def _autocast(self) -> AbstractContextManager[Any]:
        if self.numbers["precision"] == "32-true":
            return nullcontext()
        return torch.autocast("cpu", torch.bfloat16)

    def _training(self) -> dict[str, float]:
        """The mean over the steps since the last row."""
        losses, norms = self.state.losses, self.state.norms
        self.state.losses, self.state.norms = [], []
        return {
            "train/loss": math.fsum(losses) / len(losses),
            "train/lr": float(self.rows.learning_rate[self.state.step - 1]),
            "train/grad_norm": math.fsum(norms) / len(norms),
            "train/grad_norm_max": max(norms),
        }

    def _validate(self) -> dict[str, float]:
        """The loss of the validation split, and the exact match of its first rows."""
        pairs, kept = self.rows.splits["validation"], random_state()
        found = {"val/loss": self.measure(pairs)}
        if limit := self.numbers["generate"]:
            matches = self.matches(pairs, limit)
            found["val/exact_match"] = math.fsum(matches) / len(matches)
        restore_random_state(kept)
        if found["val/loss"] < self.state.best:
            self.state.best = found["val/loss"]
            state = {"model": self.peer.model.state_dict(), "step": self.state.step}
            save(state, self.folder / BEST)
        return found

    @torch.no_grad()
    def measure(self, pairs: Pairs) -> float:
        """The mean loss of a split; what it draws is the same every time."""
        self.peer.model.eval()
        total = 0.0
        for number, batch in enumerate(self._batches(pairs, len(pairs))):
            seed_all(VALIDATION_SEED + number)
            total += len(batch) * float(self.peer.loss(self.peer.collate(batch)))
        self.peer.model.train()
        return total / len(pairs)

    @torch.no_grad()
    def matches(self, pairs: Pairs, limit: int) -> list[float]:
        """Whether the generated answers of the first rows are the targets."""
        self.peer.model.eval()
        seed_all(VALIDATION_SEED)
        found = [
            float(answer == example["target"])
            for batch in self._batches(pairs, limit)
            for example, answer in zip(batch, self.peer.answer(batch), strict=True)
        ]
        self.peer.model.train()
        return found

    def _batches(self, pairs: Pairs, limit: int) -> list[list[Example]]:
        size, rows = self.numbers["eval_batch_size"], min(limit, len(pairs))
        return [
            [example(pairs, row) for row in range(first, min(first + size, rows))]
            for first in range(0, rows, size)
        ]

    def evaluate(self) -> None:
        """Write `results/test.json`: the best weights on the entire test split."""
        best = torch.load(self.folder / BEST, weights_only=True)
        self.peer.model.load_state_dict(best["model"])
        pairs = self.rows.splits["test"]
        matches = self.matches(pairs, len(pairs))
        mean = math.fsum(matches) / len(matches)
        error = stdev(matches) / math.sqrt(len(matches)) if len(matches) > 1 else None
        results = {
            "split": "test",
            "rows": len(pairs),
            "step": best["step"],
            "trained_to": self.numbers["max_steps"],
            "loss": {"loss": self.measure(pairs)},
            "scores": {"exact_match": mean},
            "scores_error": {"exact_match": error},
        }
        path = self.folder / "results" / "test.json"
        path.parent.mkdir(exist_ok=True)
        replace(path, json.dumps(results, indent=2) + "\n")

    def _save(self) -> None:
        state = {
            **vars(self.state),
            "model": self.peer.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "random": random_state(),
        }
        save(state, self.folder / STATE)

    def _load(self) -> None:
        path = self.folder / STATE
        if not path.is_file():
            return
        state = torch.load(path, weights_only=True)
        self.peer.model.load_state_dict(state.pop("model"))
        self.optimizer.load_state_dict(state.pop("optimizer"))
        restore_random_state(state.pop("random"))
        self.state = State(**state)


class Table:
    """A CSV file with a row for each step, rewritten as a whole with every row.

    Args:
        path: the file; its rows after `upto` are dropped.
    """

    def __init__(self, path: Path, upto: int) -> None:
        self.path = path
        self.rows: dict[int, dict[str, str]] = {}
        if path.is_file():
            with path.open(newline="") as file:
                for row in csv.DictReader(file):
                    if int(row["step"]) <= upto:
                        self.rows[int(row["step"])] = row

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Add values to the row of a step."""
        row = self.rows.setdefault(step, {"step": str(step)})
        row |= {name: repr(value) for name, value in values.items()}
        names = list(dict.fromkeys(name for row in self.rows.values() for name in row))
        lines = [
            names,
            *([row.get(n, "") for n in names] for row in self.rows.values()),
        ]
        replace(self.path, "".join(f"{','.join(line)}\n" for line in lines))


def example(pairs: Pairs, row: int) -> Example:
    return {"prompt": list(pairs.prompt[row]), "target": list(pairs.target[row])}


def examples(rows: Rows, step: int) -> list[Example]:
    """The batch of a step, counted from 0."""
    return [example(rows.splits["train"], int(row)) for row in rows.order[step]]


def seed_all(seed: int) -> None:
    """Seed the three generators that a peer may draw from."""
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)


def random_state() -> dict[str, Any]:
    """The state of the three generators, without anything that has to be unpickled."""
    name, keys, *rest = np.random.get_state(legacy=True)
    return {
        "torch": torch.get_rng_state(),
        "numpy": (name, np.asarray(keys).tolist(), *rest),
        "python": random.getstate(),
    }


def restore_random_state(state: Mapping[str, Any]) -> None:
    torch.set_rng_state(state["torch"])
    np.random.set_state(state["numpy"])
    random.setstate(state["python"])


def save(state: Mapping[str, Any], path: Path) -> None:
    """Save tensors so that the file is there as a whole or not at all."""
    draft = path.with_name(f".{path.name}")
    torch.save(dict(state), draft)
    os.replace(draft, path)


def replace(path: Path, text: str) -> None:
    """Write a text file likewise."""
    draft = path.with_name(f".{path.name}")
    draft.write_text(text, "utf-8")
    os.replace(draft, path)


def answer_of(ids: Sequence[int], begin: int, ends: Sequence[int]) -> list[int]:
    """The ids of a row from a position to the first that ends an answer."""
    found = list(ids[begin:])
    stop = next((i for i, id_ in enumerate(found) if id_ in ends), len(found))
    return found[:stop]
