"""A family with another predictor, rendered and imported."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from xlmgen.render import render_files
from xlmgen.runtime.family import Family
from xlmgen.spec.family import family_spec
from xlmgen.spec.load import load_yaml
from xlmgen.testing.subject import import_family


def render_variant(spec: Path, predictor: Mapping[str, Any], folder: Path) -> Family:
    """Render a family with another predictor into `folder`, and import it.

    Args:
        spec: the `family.yaml`.
        predictor: the options of the predictor, its `kind` included.
        folder: a new folder with the family's name.

    Raises:
        UserError: the options are not valid.
    """
    changed = {**(load_yaml(spec).data or {}), "predictor": dict(predictor)}
    text = yaml.safe_dump(changed, sort_keys=False, allow_unicode=True)
    files = render_files(family_spec(load_yaml("family.yaml", text)))
    for name, content in {**files, "family.yaml": text}.items():
        if name.endswith((".py", ".yaml")) and "/" not in name:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(content, encoding="utf-8")
    return import_family(folder)
