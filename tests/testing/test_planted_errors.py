"""Planted errors of real implementations: the rendered tests must find them all.

Each error is planted into a copy of a rendered family, or of the library, and the
family's rendered tests are run on the copy as a user would run them.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from xlmgen import resources
from xlmgen.render import render
from xlmgen.spec.family import family_spec
from xlmgen.spec.load import load_yaml

pytestmark = pytest.mark.slow

FILES = sorted((Path(__file__).parent / "planted").glob("*.yaml"))
"""One for every kind. A mistake is planted in the YAML's `family`, `with` these texts
of its spec replaced; `file` is a component, whose rendered file it is planted in, or a
file of the library."""


@dataclass(frozen=True)
class Planted:
    """An error: `new` replaces `old`, and the rendered test that must find it."""

    kind: str
    about: str
    family: str
    changes: tuple[tuple[str, str], ...]
    file: str
    old: str
    new: str
    found_by: str

    def __str__(self) -> str:
        return f"{self.kind}-{self.about}".replace(" ", "-")


PLANTED = [
    Planted(path.stem, changes=tuple(entry.pop("with", {}).items()), **entry)
    for path in FILES
    for entry in yaml.safe_load(path.read_text("utf-8"))
]
CHANGED = {(planted.family, planted.changes) for planted in PLANTED if planted.changes}
SPECS = [("mdlm", ()), *sorted(CHANGED)]
"""Changed families, whose tests run nowhere else, and one as it is shipped."""

LEARNING = "test_batch_is_overfitted_and_generated"
"""The slowest test of a suite, and with most errors it trains to its last step."""


@pytest.mark.parametrize("planted", PLANTED, ids=str)
def test_generated_suite_fails_by_an_assertion(planted: Planted, tmp_path: Path):
    folder = rendered(planted.family, planted.changes, tmp_path)
    if planted.file.startswith("xlmgen/"):
        target = library(tmp_path) / planted.file
    else:
        target = folder / f"{planted.file}_{planted.family}.py"
    text = target.read_text("utf-8")
    assert text.count(planted.old) == 1, "the text to replace has moved"
    target.write_text(text.replace(planted.old, planted.new), "utf-8")
    done = run_suite(folder, planted.found_by, tmp_path, "-k", f"not {LEARNING}")
    if done.returncode == 0:
        done = run_suite(folder, planted.found_by, tmp_path, "-k", LEARNING)
    assert done.returncode == 1, done.stdout + done.stderr
    assert re.search(r"^FAILED .* - (assert|AssertionError)", done.stdout, re.M), (
        done.stdout
    )


@pytest.mark.parametrize(("family", "changes"), SPECS, ids=str)
def test_without_an_error_the_suite_passes(family, changes, tmp_path: Path):
    folder = rendered(family, changes, tmp_path)
    library(tmp_path)
    found_by = {
        p.found_by for p in PLANTED if (p.family, p.changes) == (family, changes)
    }
    for test in sorted(found_by):
        done = run_suite(folder, test, tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr


def rendered(name: str, changes: Iterable[tuple[str, str]], tmp_path: Path) -> Path:
    """Render a built-in family with changes to its spec, and return the folder."""
    text = (resources.root() / "families" / name / "family.yaml").read_text("utf-8")
    for old, new in changes:
        assert text.count(old) == 1
        text = text.replace(old, new)
    folder = tmp_path / "families" / name
    for path, content in render(family_spec(load_yaml("family.yaml", text))).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(content, "utf-8")
    return folder


def library(tmp_path: Path) -> Path:
    """Copy xlmgen to a folder that precedes the installed one on the path."""
    copy = tmp_path / "library"
    package = Path(sys.modules["xlmgen"].__path__[0])
    shutil.copytree(
        package, copy / "xlmgen", ignore=shutil.ignore_patterns("__pycache__")
    )
    for data in ("schemas", "templates", "families"):
        (copy / data).symlink_to(resources.root() / data)
    return copy


def run_suite(
    folder: Path, component: str, tmp_path: Path, *options: str
) -> "subprocess.CompletedProcess[str]":
    """Run one rendered test file up to its first failure."""
    test = folder / "tests" / f"test_{component}_{folder.name}.py"
    environment = os.environ | {
        "PYTHONPATH": str(tmp_path / "library"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # a second for each run
        "OMP_NUM_THREADS": "1",
        "COLUMNS": "200",
    }
    command = [sys.executable, "-m", "pytest", str(test), "-x", "-q", "-rf"]
    command += ["-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", str(tmp_path)]
    command += options
    return subprocess.run(
        command,
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
