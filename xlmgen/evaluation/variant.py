"""Variants of a run's predictor: another algorithm, rendered into the run folder.

The numeric options of a predictor are arguments of its constructor. Options that choose
an algorithm (`order`, `decoding_block`, …) select rendered code, so another choice
needs another render. With a `cache` it is also that of the network, whose parameters
stay the same, and with an order in which the likelihood is exact that of collator and
metrics. All are written to `variants/<hash>/families/<name>/` in the run folder and
executed from there, where they can be read.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from xlmgen.errors import UserError
from xlmgen.evaluation.predictor_options import changed_predictor
from xlmgen.registry import SPEC, load_family, pin
from xlmgen.render import render_files
from xlmgen.runs.folder import copy_family
from xlmgen.runs.predictor import predictor_numbers
from xlmgen.runs.run import Run
from xlmgen.runtime.family import Family
from xlmgen.spec.document import Document
from xlmgen.spec.family import family_spec
from xlmgen.spec.load import load_yaml
from xlmgen.spec.project import project_of


def with_predictor(
    run: Run, options: Mapping[str, Any]
) -> tuple[Family, dict[str, Any]]:
    """The run's family with changed options of its predictor.

    Returns:
        The family, or a variant of it where an option chooses another algorithm; and
        the numeric options to build its predictor with.

    Raises:
        UserError: the family's schema has no such option or value, or the run's
            predictor differs from its render.
    """
    document = load_yaml(run.family_folder / SPEC)
    wanted = {**run.experiment.predictor, **options}
    changed = changed_predictor(document, wanted)
    family = run.load_family()
    if not set(options) <= set(predictor_numbers(family)):
        folder = _write_variant(run, document, changed)
        pin(folder.parent)
        family = load_family(folder.name)
    known = predictor_numbers(family)
    return family, {name: value for name, value in wanted.items() if name in known}


def _write_variant(run: Run, document: Document, changed: Document) -> Path:
    """Render the changed predictor and what it needs, next to a copy of other code."""
    source = run.family_folder
    text = yaml.safe_dump(changed.data, sort_keys=False, allow_unicode=True)
    old = render_files(family_spec(document))
    new = render_files(family_spec(load_yaml(SPEC, text), project_of(source)))
    predictor = f"predictor_{source.name}.py"
    beside = [f"{part}_{source.name}.py" for part in ("model", "collator", "metrics")]
    changes = [
        name
        for name in old
        if name.endswith(".py") and "/" not in name and old[name] != new.get(name)
    ]
    written = [predictor, *(file for file in beside if file in changes)]
    for file in written:
        own = source / file
        if not own.is_file() or own.read_text(encoding="utf-8") != old[file]:
            raise UserError(
                f"{own} differs from the render of its {SPEC}",
                "it was edited or rendered by another xlmgen; only numbers can change",
            )
    if others := [name for name in changes if name not in written]:
        raise UserError(
            f"this predictor also needs another {', '.join(others)}",
            f"write a family with it: change {SPEC}, `xlmgen new`, and train",
        )
    code = "".join(new[file] for file in (predictor, *beside))
    key = hashlib.sha256(code.encode()).hexdigest()[:12]
    target = run.path / "variants" / key
    if not target.is_dir():
        draft = target.with_name(f".{key}.{os.getpid()}")
        folder = draft / "families" / source.name
        copy_family(source, folder)
        for file in written:
            (folder / file).write_text(new[file], encoding="utf-8")
        (folder / SPEC).write_text(text, encoding="utf-8")
        (folder / "family.lock").unlink(missing_ok=True)
        try:
            draft.rename(target)
        except OSError:  # another process was first, with the same contents
            shutil.rmtree(draft)
    return target / "families" / source.name
