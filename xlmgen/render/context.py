"""Everything a template is told: it prints, the decisions are made here."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

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
    * `decide`: what follows from more than one block.
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
        "decide": decisions(family),
    }


def decisions(family: FamilySpec) -> SimpleNamespace:
    """What templates need to know that follows from several blocks at once."""
    return SimpleNamespace(
        time_input=family.model.options.get("time", "none") != "none",
    )


def paper_link(paper: str) -> str:
    """The address of a paper given as `arXiv:…`, `doi:…` or an address itself."""
    scheme, _, rest = paper.partition(":")
    addresses = {"arXiv": "https://arxiv.org/abs/", "doi": "https://doi.org/"}
    return addresses[scheme] + rest if scheme in addresses else paper


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
