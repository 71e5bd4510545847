"""The model card: what a person who finds a pushed run reads first."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xlmgen.hub.published import Published, local_files, portable_task
from xlmgen.registry import SPEC
from xlmgen.render.context import paper_link
from xlmgen.render.environment import environment
from xlmgen.run import VERSIONS, Run
from xlmgen.shards import read_header
from xlmgen.spec.family import FamilySpec, read_family
from xlmgen.spec.project import BUILT_IN

TEMPLATE = "hub/card.md.jinja"
NOT_METRICS = ("draws", "standard_error", "monte_carlo_error")
PARTS = {"loss": "loss", "pseudo_likelihood": "pseudo_nll"}
"""The parts of a result that are losses, and which of their numbers has an error."""


@dataclass(frozen=True)
class Score:
    """One number of one evaluation.

    Args:
        evaluation: the name of its file: the split and what was not the default.
        error: one standard error, where it has one.
        is_share: whether it is shown as a percentage.
    """

    evaluation: str
    split: str
    rows: int
    metric: str
    number: float
    error: float | None
    is_share: bool

    @property
    def shown(self) -> dict[str, object]:
        """As a row of the card's table."""

        def text(number: float | None) -> str:
            if number is None:
                return ""
            return f"{100 * number:.1f} %" if self.is_share else f"{number:.4f}"

        return {
            "evaluation": f"`{self.evaluation}`",
            "rows": self.rows,
            "metric": self.metric.replace("_", " "),
            "value": text(self.number),
            "error": text(self.error),
        }


def render_card(
    run: Run,
    published: Published,
    repo_id: str,
    *,
    revision: str | None = None,
    license: str | None = None,
    datasets: Sequence[str] = (),
) -> str:
    """The card of a run that is pushed, as Markdown with its metadata in front.

    Args:
        license: as the Hub writes it, such as `mit`; the owner's to choose.
        datasets: of the Hub, that the run was trained on.
    """
    spec = read_family(run.family_folder / SPEC)
    task = run.load_task()
    ran_with = json.loads(published.texts[VERSIONS])
    scores = list(read_scores(run.path / "results", published.manifest.step))
    return (
        environment(BUILT_IN.templates)
        .get_template(TEMPLATE)
        .render(
            metadata=_metadata(run, spec, task.name, scores, license, datasets),
            name=run.experiment.name,
            title=_line(spec.title or spec.name),
            summary=_line(spec.summary),
            family=spec.name,
            size=run.experiment.size,
            task=task.name,
            version=ran_with["xlmgen"],
            papers=[{"name": p, "link": paper_link(p)} for p in spec.papers],
            repo_id=repo_id,
            revision=revision,
            folder=f"runs/{repo_id.partition('/')[2]}",
            data=local_files(portable_task(task.document)),
            own_kinds=[f"`{kind.block}: {kind.name}`" for kind in spec.own_kinds],
            training=_training(run, published, ran_with["torch"]),
            results=[score.shown for score in scores],
        )
    )


def read_scores(folder: Path, step: int) -> Iterator[Score]:
    """The numbers of the evaluations of one checkpoint, in the order of their files."""
    for file in sorted(folder.glob("*.json")):
        result = json.loads(file.read_text(encoding="utf-8"))
        if result["step"] == step:
            yield from _scores(file.stem, result)


def _scores(name: str, result: Mapping[str, Any]) -> Iterator[Score]:
    about = (name, result["split"], result["rows"])
    for part, with_error in PARTS.items():
        for metric, number in result.get(part, {}).items():
            if metric in NOT_METRICS or not _is_number(number):
                continue
            error = result[part]["standard_error"] if metric == with_error else None
            yield Score(*about, metric, number, error, False)
    for metric, number in result.get("scores", {}).items():
        if _is_number(number):
            yield Score(*about, metric, number, result["scores_error"][metric], True)


def _metadata(
    run: Run,
    spec: FamilySpec,
    task: str,
    scores: Sequence[Score],
    license: str | None,
    datasets: Sequence[str],
) -> str:
    """The YAML that the Hub reads."""
    import yaml

    results = [
        {
            "task": {"type": "text-generation"},
            "dataset": {
                "name": task,
                "type": task,
                "split": split,
                "args": {"evaluation": evaluation},
            },
            "metrics": [
                {"type": score.metric, "value": score.number, "name": score.metric}
                for score in scores
                if (score.evaluation, score.split) == (evaluation, split)
            ],
        }
        for evaluation, split in dict.fromkeys((s.evaluation, s.split) for s in scores)
    ]
    data: dict[str, Any] = {
        "library_name": "xlmgen",
        **({"license": license} if license else {}),
        "tags": ["xlmgen", spec.name, task],
        **({"datasets": list(datasets)} if datasets else {}),
        **(
            {"model-index": [{"name": run.experiment.name, "results": results}]}
            if results
            else {}
        ),
    }
    text: str = yaml.safe_dump(data, sort_keys=False, allow_unicode=True)
    return text


def _training(run: Run, published: Published, torch: str) -> dict[str, object]:
    settings = run.experiment.training
    rows = settings.batch_size * settings.accumulate
    rows *= settings.devices * settings.num_nodes
    return {
        "parameters": f"{count_parameters(published):,}",
        "steps": f"{published.manifest.step:,}",
        "rows per step": rows,
        "learning rate": f"{settings.learning_rate:g}, {settings.schedule}",
        "precision": settings.precision,
        "seed": settings.seed,
        "torch": torch,
    }


def count_parameters(published: Published) -> int:
    """The numbers in the weights; a tensor that is tied to another counts once."""
    files = (f for f in published.weights.values() if f.suffix == ".safetensors")
    return sum(
        math.prod(entry.shape) for file in files for _, entry in read_header(file)
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _line(text: str) -> str:
    return " ".join(text.split())
