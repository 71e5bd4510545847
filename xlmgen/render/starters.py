"""Files of a new project, which `xlmgen init` writes."""

from __future__ import annotations

from dataclasses import replace

from xlmgen import resources
from xlmgen.errors import UserError
from xlmgen.render import render
from xlmgen.render.environment import environment
from xlmgen.render.plan import SPEC, Step
from xlmgen.spec.diagnostics import errors
from xlmgen.spec.document import Document
from xlmgen.spec.editor import schema_texts
from xlmgen.spec.family import settle_family
from xlmgen.spec.load import load_yaml
from xlmgen.spec.modeline import FOLDER
from xlmgen.spec.project import BUILT_IN
from xlmgen.spec.validate import validate
from xlmgen.version import __version__

NAME = "mine"
FAMILY = "starters/family.yaml.jinja"
# Hidden files have no leading dot in `templates/`, where tools would use or skip them.
STEPS = (
    Step("starters/README.md.jinja", "README.md"),
    Step("starters/gitignore", ".gitignore"),
    Step("starters/vscode/settings.json", ".vscode/settings.json"),
    Step("starters/vscode/extensions.json", ".vscode/extensions.json"),
    Step("starters/github/specs.yml.jinja", ".github/workflows/specs.yml"),
    Step("starters/tasks/graphs.yaml", "tasks/graphs.yaml"),
    Step("starters/experiments/graphs.yaml.jinja", "experiments/graphs.yaml"),
    Step("starters/scripts/torchrun.sh", "scripts/torchrun.sh"),
    Step("starters/scripts/train.sbatch", "scripts/train.sbatch"),
)
ACTION = "action.yml"


def starters(name: str) -> dict[str, str]:
    """Return all files of a new project: relative POSIX path to text.

    Args:
        name: of its family.

    Raises:
        UserError: the name is invalid.
    """
    check_name(name)
    files = {step.path: _text(step.template, name) for step in STEPS}
    files[f".github/actions/xlmgen/{ACTION}"] = _shipped(ACTION)
    files |= {f"{FOLDER}/{file}": text for file, text in schema_texts().items()}
    rendered = render(settle_family(_family(name)))
    files |= {f"families/{name}/{path}": text for path, text in rendered.items()}
    return files


def check_name(name: str) -> None:
    """Validate the name of a family against the schema.

    Raises:
        UserError: it is invalid.
    """
    document = _family(NAME)  # other texts may not be valid YAML
    named = replace(document, data={**(document.data or {}), "name": name})
    for problem in errors(validate(named, "family")):
        raise UserError(f"--name: {problem.message}", problem.fix)


def _family(name: str) -> Document:
    return load_yaml(f"families/{name}/{SPEC}", _text(FAMILY, name))


def _text(template: str, name: str) -> str:
    if not template.endswith(".jinja"):
        return _shipped(f"templates/{template}")
    values = {"name": name, "version": __version__}
    return environment(BUILT_IN.templates).get_template(template).render(values)


def _shipped(path: str) -> str:
    return (resources.root() / path).read_text("utf-8")
