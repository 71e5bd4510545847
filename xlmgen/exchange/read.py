"""Import of a released checkpoint into a run folder."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from xlmgen.data.task import Task, load_task
from xlmgen.errors import UserError
from xlmgen.exchange.config import CONFIG, Config, check_options, readers, reads
from xlmgen.exchange.tokenizer_files import FILES, read_tokenizer
from xlmgen.experiment import resolve
from xlmgen.experiment.family_check import check_family, family_folder
from xlmgen.experiment.settings import Experiment
from xlmgen.io.files import write_json
from xlmgen.io.manifest import copy_hashed, write_manifest
from xlmgen.io.shards import INDEX, Shards
from xlmgen.registry import SPEC, find_families
from xlmgen.runs.checkpoint_folder import IMPORTED, about, folder_name
from xlmgen.runs.folder import create, is_new
from xlmgen.runs.run import Run, run_id
from xlmgen.spec.family import read_family

SOURCE = "source"
"""Folder of an imported run with the checkpoint's own configuration and tokenizer."""
USUAL = Path("experiments/text.yaml")


def default_experiment(checkpoint: Path) -> Path:
    """The text experiment of the only family that can import a checkpoint.

    Raises:
        UserError: there is no such family, or more than one.
    """
    config = Config.read(checkpoint)
    found = [
        family
        for family in find_families()
        if config.model_type in reads(read_family(family.folder / SPEC))
    ]
    if len(found) == 1:
        return found[0].folder / USUAL
    if not found:
        kinds = " or ".join(readers(config.model_type)) or "none"
        raise UserError(
            f"no family reads a checkpoint of model_type {config.model_type!r}",
            f"kinds of model that do: {kinds}",
        )
    raise UserError(
        f"several families read a checkpoint of model_type {config.model_type!r}: "
        + ", ".join(family.name for family in found),
        f"name an experiment of one, such as {found[0].folder / USUAL}",
    )


def import_checkpoint(
    checkpoint: Path,
    experiment: Path,
    overrides: Sequence[str],
    path: Path | None,
    command: Sequence[str] = (),
) -> Run:
    """Create a run folder with the weights and tokenizer of a checkpoint.

    Compatibility is checked by the headers of the files, which are copied unchanged.

    Args:
        checkpoint: a folder with `config.json`, safetensors and a tokenizer.
        experiment: gives family and task; the size is that of the checkpoint.
        overrides: `key.path=value` for the experiment.
        path: the run folder; `runs/NAME` by default.
        command: the command line, to be recorded.

    Raises:
        UserError: the checkpoint is damaged or does not fit, or the folder exists.
    """
    config = Config.read(checkpoint)
    config.check()
    shards = Shards.open(checkpoint)
    settled = _with_numbers(experiment, overrides, config)
    path = path or Path("runs") / settled.name
    if not is_new(path):
        raise UserError(
            f"{path} already has a run", "choose another folder with --run-dir"
        )
    family = family_folder(settled)
    check_family(settled, family)
    check_options(config, read_family(family / SPEC))

    def fill(folder: Path) -> None:
        _check_tensors(shards, folder / "families" / family.name, settled, config)
        place = folder / "checkpoints" / folder_name(0)
        place.mkdir(parents=True)
        digests = {
            file.name: copy_hashed(file, place / file.name)
            for file in (*shards.files, checkpoint / INDEX)
            if file.is_file()
        }
        (folder / SOURCE).mkdir()
        for name in (CONFIG, *FILES):
            if (checkpoint / name).is_file():
                shutil.copyfile(checkpoint / name, folder / SOURCE / name)
        origin = {"from": str(checkpoint.resolve()), "tensors": len(shards.entries)}
        for made in (place, folder):
            write_json(made / IMPORTED, origin)
        write_manifest(place, about(run_id(folder), 0), digests)

    with tempfile.TemporaryDirectory() as scratch:
        task = _with_tokenizer(load_task(settled.task), config, path, Path(scratch))
        return create(path, settled, family, task, command, fill)


def _with_numbers(file: Path, overrides: Sequence[str], config: Config) -> Experiment:
    """The experiment with the checkpoint's size: a named size or overrides."""
    first = resolve(file, overrides)
    sizes = read_family(family_folder(first) / SPEC).sizes
    for size, numbers in sizes.items():
        if {"num_kv_heads": numbers["num_heads"], **numbers} == config.numbers:
            return resolve(file, [*overrides, f"size={size}"])
    given = {**sizes[first.size], **first.model}
    differing = [
        f"model.{key}={number}"
        for key, number in config.numbers.items()
        if given.get(key) != number
    ]
    return resolve(file, [*overrides, *differing])


def _check_tensors(
    shards: Shards, family: Path, experiment: Experiment, config: Config
) -> None:
    """Compare names and shapes with the network, built on the meta device."""
    from xlmgen.registry import load_family, pin
    from xlmgen.runs.weight_shapes import misfits
    from xlmgen.runtime.special_tokens import SpecialTokens

    pin(family.parent)
    tokens = SpecialTokens(vocab_size=config.vocab_size)
    problems = misfits(shards, load_family(family.name), tokens, experiment)
    if problems:
        raise UserError(
            f"{shards.folder} does not fit the family {family.name}: "
            + ", ".join(problems),
            "nothing was written",
        )


def _with_tokenizer(task: Task, config: Config, path: Path, scratch: Path) -> Task:
    """The task with the tokenizer of the checkpoint."""
    tokenizer, names = read_tokenizer(config)
    tokenizer.save(scratch / "tokenizer.json")
    options = {
        "kind": "file",
        "path": str(path.absolute() / "tokenizer.json"),
        "special": names,
        "shared": True,
        "vocab_size": config.vocab_size,
    }
    return replace(
        task,
        tokenizer_options=options,
        document={**task.document, "tokenizer": options},
        saved_tokenizer=scratch / "tokenizer.json",
    )
