"""Variables of the templates: decisions are made here, templates only print."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from xlmgen.render import experiments, metrics, suites, types
from xlmgen.render.kinds import DECISIONS, network
from xlmgen.render.kinds.schedule import schedule_code
from xlmgen.render.plan import COMPONENTS
from xlmgen.render.python import class_name
from xlmgen.spec.family import Component, FamilySpec


def context(family: FamilySpec) -> dict[str, Any]:
    """Return the variables of the templates.

    * `name`, `Name`: the family's name and the prefix of its classes.
    * `title`, `summary`, `papers`, `paper_links`: from the spec.
    * `collator`, `model`, `loss`, `predictor`, `noise_schedule`: `kind` and all options
      as attributes, also of nested mappings; `noise_schedule` is None without one.
    * `sizes`: numbers of each size by its name.
    * `schedule`: the noise schedule as code; linear if the spec has none.
    * `types`: fields of the batches and of the loss's output.
    * `metrics`: metrics of the loss.
    * `suites`: test suites that the rendered tests inherit, by component.
    * `experiments`: settings of the experiments.
    * decisions of the family's kinds: see `xlmgen.render.kinds`.
    """
    return {
        "name": family.name,
        "Name": class_name(family.name),
        "title": family.title,
        "summary": family.summary,
        "papers": family.papers,
        "paper_links": [paper_link(paper) for paper in family.papers],
        "collator": _namespace(family.collator),
        "model": _namespace(family.model),
        "loss": _namespace(family.loss),
        "predictor": _namespace(family.predictor),
        "noise_schedule": (
            None if family.noise_schedule is None else _namespace(family.noise_schedule)
        ),
        "sizes": family.sizes,
        "schedule": schedule_code(family),
        "types": types.decide(family),
        "metrics": metrics.decide(family),
        "suites": suites.decide(family),
        "size_keys": [
            key
            for key in ("d_model", "layers", "num_heads", "num_kv_heads", "ffn")
            if any(key in numbers for numbers in family.sizes.values())
        ],
        "experiments": experiments.decide(family),
        **decisions(family),
    }


def decisions(family: FamilySpec) -> dict[str, Any]:
    """Return the decisions of the family's kinds, by name."""
    kinds = {(component, getattr(family, component).kind) for component in COMPONENTS}
    decided = {
        name: decide(family)
        for key, (name, decide) in DECISIONS.items()
        if key in kinds
    }
    # other components use `network`, so a project's own network needs it, too
    return {"network": network.decide_own(family), **decided}


def paper_link(paper: str) -> str:
    """Return the URL of a paper given as `arXiv:…`, `doi:…` or a URL."""
    scheme, _, rest = paper.partition(":")
    addresses = {"arXiv": "https://arxiv.org/abs/", "doi": "https://doi.org/"}
    address = addresses[scheme] + rest if scheme in addresses else paper
    return address.replace("(", "%28").replace(")", "%29")  # special in Markdown


def _namespace(component: Component) -> SimpleNamespace:
    options = {key: _attributes(value) for key, value in component.options.items()}
    return SimpleNamespace(kind=component.kind, **options)


def _attributes(value: Any) -> Any:
    """Convert mappings to objects, for templates with `predictor.remask.rule`."""
    if isinstance(value, dict):
        return SimpleNamespace(
            **{key: _attributes(item) for key, item in value.items()}
        )
    return value
