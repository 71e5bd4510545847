"""Export of a run as a checkpoint that other libraries can read."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xlmgen.data.task import Task
from xlmgen.errors import UserError
from xlmgen.exchange.config import CONFIG, NUMBERS, make_config, reads
from xlmgen.exchange.read import SOURCE
from xlmgen.exchange.tokenizer_files import write_tokenizer
from xlmgen.experiment.settings import Experiment
from xlmgen.io.files import write_json
from xlmgen.io.json_input import read_object
from xlmgen.io.shards import Shards, write_shards
from xlmgen.registry import SPEC
from xlmgen.runs.checkpoint_folder import Weights, weight_files
from xlmgen.runs.run import Run, Stored
from xlmgen.spec.family import FamilySpec, read_family

UNITS = {"KB": 10**3, "MB": 10**6, "GB": 10**9}


@dataclass(frozen=True)
class Exported:
    """Result of an export.

    Args:
        stored: the exported checkpoint.
        notes: lines for the user about the tokenizer.
    """

    stored: Stored
    notes: tuple[str, ...]


def parse_size(text: str) -> int:
    """Parse `5GB`, `200MB` or `100KB` to bytes.

    Raises:
        UserError: the text has another form.
    """
    match = re.fullmatch(r"(\d+)(KB|MB|GB)", text.strip().upper())
    if not match or not int(match[1]):
        raise UserError(f"--shard-size is {text!r}", "write it as 5GB, 200MB or 100KB")
    return int(match[1]) * UNITS[match[2]]


def export_run(
    run: Run,
    out: Path,
    shard_size: int,
    checkpoint: str | None = None,
    weights: Weights | None = None,
) -> Exported:
    """Write a folder with `config.json`, safetensors and a tokenizer, atomically.

    Tensors are copied byte by byte, in their stored precision.

    Args:
        out: must not exist.
        shard_size: the most bytes of one file.
        checkpoint, weights: of the run; see `Run.weights`.

    Raises:
        UserError: the family's network has no released form, `out` exists, the
            checkpoint is damaged, or transformers would load another tokenizer.
    """
    if out.exists():
        raise UserError(f"{out} exists", "choose a folder that does not")
    spec = read_family(run.family_folder / SPEC)
    if not reads(spec):
        raise UserError(
            f"the model {spec.model.kind} of the family {spec.name} has no form that "
            "other libraries can read",
            "only families with the model of a released checkpoint can be exported",
        )
    stored = run.weights(checkpoint, weights)
    files = [file.name for file in stored.folder.iterdir()]
    shards = Shards.open(stored.folder, weight_files(files, stored.weights))
    task = run.load_task()
    out.parent.mkdir(parents=True, exist_ok=True)
    draft = out.with_name(f".{out.name}.{os.getpid()}")
    draft.mkdir()
    try:
        write_shards(draft, shards, shard_size)
        write_json(draft / CONFIG, _config(run, spec, task, shards))
        notes = write_tokenizer(task, run.path / SOURCE, draft)
        draft.rename(out)
        return Exported(stored, tuple(notes))
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise


def _config(run: Run, spec: FamilySpec, task: Task, shards: Shards) -> dict[str, Any]:
    """The configuration that the run was imported with, or a new one."""
    source = run.path / SOURCE / CONFIG
    if source.is_file():
        return read_object(source, "restore it from the imported checkpoint")
    numbers = _numbers(run.experiment, spec, shards)
    (dtype, *_) = {entry.dtype for entry in shards.entries.values()}
    return make_config(spec, numbers, task.tokenizer.special, dtype)


def _numbers(
    experiment: Experiment, spec: FamilySpec, shards: Shards
) -> dict[str, int]:
    """Sizes of the network; the feed-forward width is that of the weights."""
    given = {**spec.sizes[experiment.size], **experiment.model}
    hidden = shards.entries["model.layers.0.mlp.gate_proj.weight"].shape[0]
    known = {"num_kv_heads": given["num_heads"], **given, "ffn": hidden}
    return {key: int(known[key]) for key in NUMBERS}
