"""Render the model card of a pushed run."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xlmgen.evaluation.numbers import SCHEMA, Number, numbers
from xlmgen.hub.published import Published, datasets, local_files, portable_task
from xlmgen.io.files import visible
from xlmgen.io.json_input import read_object
from xlmgen.io.shards import count_numbers
from xlmgen.registry import SPEC
from xlmgen.render.context import paper_link
from xlmgen.render.environment import environment
from xlmgen.runs.run import Run
from xlmgen.spec.family import FamilySpec, read_family
from xlmgen.spec.hooks import hooks
from xlmgen.spec.project import BUILT_IN
from xlmgen.terminal.escape import code, markdown

TEMPLATE = "hub/card.md.jinja"


@dataclass(frozen=True)
class Evaluation:
    """Content of one file of `results/`.

    Args:
        name: the split, and options other than the defaults.
        split: of the task.
        rows: number of evaluated rows.
        numbers: the metrics.
    """

    name: str
    split: str
    rows: int
    numbers: tuple[Number, ...]

    @property
    def cell(self) -> str:
        """Name as inline code in a table cell of Markdown."""
        return code(self.name, cell=True)


def render_card(
    run: Run,
    published: Published,
    repo_id: str,
    *,
    revision: str | None = None,
    license: str | None = None,
    trained_on: Sequence[str] = (),
) -> str:
    """Render the model card of a run: Markdown after metadata in YAML.

    Args:
        run: the run.
        published: the files to upload.
        repo_id: name of the repository.
        revision: the branch, if it is not the main one.
        license: the Hub's name of a licence, such as `mit`; none by default.
        trained_on: data sets of the Hub; by default those that the task reads.
    """
    spec = read_family(run.family_folder / SPEC)
    task = run.load_task()
    ran_with = run.record
    step = published.manifest.step
    evaluations = list(read_evaluations(run.path / "results", step))
    portable = portable_task(task.document)
    folder = f"runs/{repo_id.partition('/')[2]}"
    return (
        environment(BUILT_IN.templates)
        .get_template(TEMPLATE)
        .render(
            metadata=_metadata(
                run,
                spec,
                task.name,
                evaluations,
                license,
                trained_on or datasets(task.document),
            ),
            name=markdown(run.experiment.name),
            title=markdown(_line(spec.title or spec.name)),
            summary=markdown(_line(spec.summary)),
            family=spec.name,
            size=run.experiment.size,
            task=task.name,
            version=markdown(ran_with.get("xlmgen", published.manifest.xlmgen)),
            papers=[{"name": markdown(p), "link": paper_link(p)} for p in spec.papers],
            repo_id=repo_id,
            revision=revision,
            folder=folder,
            data=[code(f"{folder}/{path}") for path in local_files(portable)],
            own_kinds=[
                code(f"{kind.component}: {kind.name}") for kind in spec.own_kinds
            ],
            own_python=[code(target) for _, target in hooks(task.document)],
            training=_training(run, published, markdown(ran_with.get("torch", "?"))),
            evaluations=evaluations,
            markdown=markdown,
        )
    )


def read_evaluations(folder: Path, step: int) -> Iterator[Evaluation]:
    """Yield the evaluations of one checkpoint, in the order of their files.

    Raises:
        UserError: a file is damaged.
    """
    for file in visible(folder, "*.json"):
        fix = "measure again with `xlmgen eval`, or delete it"
        result = read_object(file, fix, SCHEMA)
        if result.get("step") == step and {"split", "rows"} <= result.keys():
            found = (n for n in numbers(result) if not math.isnan(n.value))
            yield Evaluation(file.stem, result["split"], result["rows"], tuple(found))


def _metadata(
    run: Run,
    spec: FamilySpec,
    task: str,
    evaluations: Sequence[Evaluation],
    license: str | None,
    trained_on: Sequence[str],
) -> str:
    """Format the card's metadata in YAML."""
    import yaml

    results = [
        {
            "task": {"type": "text-generation"},
            "dataset": {
                "name": task,
                "type": task,
                "split": evaluation.split,
                "args": {"evaluation": evaluation.name},
            },
            "metrics": [
                {"type": number.metric, "value": number.value, "name": number.name}
                for number in evaluation.numbers
            ],
        }
        for evaluation in evaluations
    ]
    data: dict[str, Any] = {
        "library_name": "xlmgen",
        **({"license": license} if license else {}),
        "tags": ["xlmgen", spec.name, task],
        **({"datasets": list(trained_on)} if trained_on else {}),
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
    return {
        "parameters": f"{count_parameters(published):,}",
        "steps": f"{published.manifest.step:,}",
        "rows per step": settings.rows_of_a_step,
        "learning rate": f"{settings.learning_rate:g}, {settings.schedule}",
        "precision": settings.precision,
        "seed": settings.seed,
        "torch": torch,
    }


def count_parameters(published: Published) -> int:
    """Count the numbers in the weights; tied tensors count once."""
    files = (f for f in published.weights.values() if f.suffix == ".safetensors")
    return sum(map(count_numbers, files))


def _line(text: str) -> str:
    return " ".join(text.split())
