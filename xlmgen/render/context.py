"""Everything a template is told: it prints, the decisions are made here."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from xlmgen.render import experiments, suites, types
from xlmgen.render.kinds import DECISIONS, metrics, network
from xlmgen.render.kinds.schedule import schedule_code
from xlmgen.render.plan import BLOCKS
from xlmgen.spec.family import FamilySpec, Part


def class_name(name: str) -> str:
    """A family's name as the prefix of its classes: `my_family` → `MyFamily`."""
    return "".join(word[:1].upper() + word[1:] for word in name.split("_"))


def context(family: FamilySpec) -> dict[str, Any]:
    """The names that templates may use.

    * `name`, `Name`: the family's name and the prefix of its classes.
    * `title`, `summary`, `papers`, `paper_links`: what the spec says of itself.
    * `collator`, `model`, `loss`, `predictor`, `noise_schedule`: `kind` and every
      option as attributes, nested mappings too; `noise_schedule` is None without one.
    * `sizes`: size name to its numbers.
    * `schedule`: the noise schedule as code, the linear one where the spec names none.
    * `types`: the fields of its batches and of what its loss returns.
    * `metrics`: what is reported of its loss.
    * `suites`: what its rendered tests inherit, by block.
    * `experiments`: what its experiments are set to.
    * what the kinds of this family decide: see `xlmgen.render.kinds`.
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
            for key in ("d_model", "layers", "heads", "kv_heads", "ffn")
            if any(key in numbers for numbers in family.sizes.values())
        ],
        "experiments": experiments.decide(family),
        **decisions(family),
    }


def decisions(family: FamilySpec) -> dict[str, Any]:
    """What the kinds of this family decide for their templates, by name."""
    kinds = {(block, getattr(family, block).kind) for block in BLOCKS}
    decided = {
        name: decide(family)
        for key, (name, decide) in DECISIONS.items()
        if key in kinds
    }
    # what other blocks ask of every network, one of a project's own too
    return {"network": network.decide_own(family), **decided}


def paper_link(paper: str) -> str:
    """The address of a paper given as `arXiv:…`, `doi:…` or an address itself."""
    scheme, _, rest = paper.partition(":")
    addresses = {"arXiv": "https://arxiv.org/abs/", "doi": "https://doi.org/"}
    address = addresses[scheme] + rest if scheme in addresses else paper
    return address.replace("(", "%28").replace(")", "%29")  # Markdown's own signs


def _namespace(part: Part) -> SimpleNamespace:
    options = {key: _attributes(value) for key, value in part.options.items()}
    return SimpleNamespace(kind=part.kind, **options)


def _attributes(value: Any) -> Any:
    """Mappings as objects, so that templates read `predictor.remask.rule`."""
    if isinstance(value, dict):
        return SimpleNamespace(
            **{key: _attributes(item) for key, item in value.items()}
        )
    return value
