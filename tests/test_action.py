"""The action, without GitHub: its steps' shell, run with the variables GitHub sets."""

import os
import re
import subprocess
import sys
from importlib.metadata import requires
from pathlib import Path

import pytest
import yaml

from xlmgen import resources
from xlmgen.cli import main

ACTION = yaml.safe_load((resources.root() / "action.yml").read_text("utf-8"))
SETUP, INSTALL, REVIEW = ACTION["runs"]["steps"]
INPUT = re.compile(r"\$\{\{ inputs\.([\w-]+) \}\}")
pytestmark = pytest.mark.slow

FAMILY = Path("families/mine/family.yaml")
ANNOTATION = re.compile(r"^::(error|warning|notice) file=([^,]+),line=(\d+),", re.M)


def environment(step, **inputs):
    """What a step's `env:` becomes with these inputs."""
    given = {name: of.get("default", "") for name, of in ACTION["inputs"].items()}
    given |= {name.replace("_", "-"): value for name, value in inputs.items()}
    return {
        key: INPUT.sub(lambda found: given[found[1]], value)
        for key, value in step["env"].items()
    }


def run(step, **variables):
    """Run a step's shell as GitHub does."""
    bash = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    clean = {k: v for k, v in os.environ.items() if not k.startswith("GITHUB_")}
    return subprocess.run(
        bash,
        env={**clean, "PATH": path, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def git(*words):
    return subprocess.run(
        ["git", "-c", "user.name=a", "-c", "user.email=a@b", *words],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    """A new project whose first commit is the main branch of its origin."""
    folder = tmp_path_factory.mktemp("project")
    assert main(["init", str(folder / "lab")]) == 0
    git("init", "-q", "-b", "main", str(folder / "lab"))
    git("-C", str(folder / "lab"), "add", ".")
    git("-C", str(folder / "lab"), "commit", "-qm", "start")
    return folder / "lab"


@pytest.fixture
def pull_request(pristine, tmp_path, monkeypatch):
    """A branch of the project, and a function that runs the action on it."""
    monkeypatch.chdir(tmp_path)
    git("clone", "-q", str(pristine), "lab")
    monkeypatch.chdir(tmp_path / "lab")
    git("checkout", "-q", "-b", "change")
    summary = tmp_path / "summary.md"
    summary.write_text("from a step before\n")

    def act(*, base="main", **inputs):
        if git("status", "--porcelain"):
            git("add", ".")
            git("commit", "-qm", "change")
        done = run(
            REVIEW,
            **environment(REVIEW, **inputs),
            GITHUB_BASE_REF=base,
            GITHUB_STEP_SUMMARY=str(summary),
        )
        assert "Traceback" not in done.stderr
        kept, _, page = summary.read_text().partition("\n")
        assert kept == "from a step before"
        return done, page

    return act


def edit(old, new, path=FAMILY):
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")


def render():
    assert main(["new", str(FAMILY)]) == 0


def test_untrusted_values_are_not_inserted_into_shell():
    for step in ACTION["runs"]["steps"]:
        assert "${{" not in step.get("run", "")
        if "run" in step:
            assert step["shell"] == "bash"
    text = (resources.root() / "action.yml").read_text("utf-8")
    used = re.findall(r"\$\{\{ (.*?) \}\}", text)
    assert sorted(used) == sorted(f"inputs.{name}" for name in ACTION["inputs"])
    assert all(of["description"] for of in ACTION["inputs"].values())


def test_inputs_are_documented():
    page = (resources.root() / "docs" / "review.md").read_text("utf-8")
    section = page.partition("## In a pull request")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `([\w-]+)` \| (.*?) \|", section, re.MULTILINE)
    assert [name for name, _ in rows] == list(ACTION["inputs"])
    for name, default in rows:
        if default.startswith("`"):
            assert default == f"`{ACTION['inputs'][name]['default']}`"
        else:
            assert ACTION["inputs"][name]["default"] == ""


def test_passing_change_is_annotated_and_summarised(pull_request):
    edit("title: Masked", "title: A masked")
    render()
    edit("max_steps: 2500", "max_steps: 2600", Path("experiments/graphs.yaml"))
    done, page = pull_request(fail_on="checkpoint,config")
    assert done.returncode == 0, done.stderr
    told = ANNOTATION.findall(done.stdout)
    assert ("notice", "families/mine/family.yaml", "6") in told
    assert {level for level, _, _ in told} <= {"notice", "warning"}
    assert page.startswith("## xlmgen review\n")
    assert "2 of 9 specs differ" in page
    assert "xlmgen check" not in page


def test_invalid_spec_fails_and_is_annotated_once(pull_request):
    edit("weight: schedule", "weight: schedul")
    done, page = pull_request()
    assert done.returncode == 1
    told = [a for a in ANNOTATION.findall(done.stdout) if a[0] == "error"]
    assert told == [("error", "families/mine/family.yaml", "26")]
    check, _, review = page.partition("## xlmgen review")
    assert check.startswith("## xlmgen check\n\n    families/mine/family.yaml:26:")
    assert "did you mean 'schedule'?" in check
    assert "invalid" in review


def test_fail_on_class_fails(pull_request):
    edit("layers: 3", "layers: 2")
    render()
    done, page = pull_request()
    assert done.returncode == 0
    assert "checkpoint" in page
    done, _ = pull_request(fail_on="checkpoint")
    assert done.returncode == 1


def test_change_is_compared_with_merge_base(pull_request):
    """What was merged since is not part of it."""
    edit("title: Masked", "title: A masked")
    render()
    git("commit", "-qam", "change")
    git("checkout", "-q", "main")
    edit("max_steps: 2500", "max_steps: 2600", Path("experiments/graphs.yaml"))
    git("commit", "-qam", "meanwhile")
    git("update-ref", "refs/remotes/origin/main", "main")
    git("checkout", "-q", "change")
    _, page = pull_request()
    assert "1 of 9 specs differ" in page


def test_only_check_runs_without_pull_request(pull_request):
    edit("title: Masked", "title: A masked")
    done, page = pull_request(base="")
    assert done.returncode == 1  # the render is older than its spec
    assert "XG301" in done.stdout
    assert "xlmgen review" not in page
    git("checkout", "-q", "HEAD~")
    assert pull_request(base="")[0].returncode == 0
    _, page = pull_request(base="", against="change")
    assert "nothing differs" in page  # where the two parted is here


def test_too_short_history_is_reported(pull_request):
    done, _ = pull_request(base="elsewhere")
    assert done.returncode == 2
    assert "::error title=xlmgen::the history does not reach back" in done.stdout
    assert "fetch-depth: 0" in done.stdout


def test_strict_fails_for_edited_render(pull_request):
    edit("import", "# mine\nimport", Path("families/mine/loss_mine.py"))
    assert pull_request()[0].returncode == 0
    assert pull_request(strict="true")[0].returncode == 1


def test_unusual_paths_are_quoted(pull_request):
    Path("more specs").mkdir()
    text = Path("tasks/graphs.yaml").read_text("utf-8")
    Path("more specs/other.yaml").write_text(text)
    done, page = pull_request(paths="more specs\n\n  tasks\n")
    assert done.returncode == 0, done.stderr
    assert "1 of 2 specs differ" in page
    for hostile in ("$(touch pwned); touch pwned", "--help"):
        done, _ = pull_request(paths=hostile)
        assert done.returncode == 2
        assert f"there is no file or folder {hostile}" in done.stderr
    assert not Path("pwned").exists()


# The installation, with a stand-in for Python that notes what pip is asked for.

PYTHON = """\
#!/bin/sh
if [ "$1" = -c ]; then exec {python} "$@"; fi
for word; do last=$word; done
if [ -f "$last" ] && [ ! -d "$last" ]; then echo "file: $(tr '\\n' ' ' < "$last")"; fi
echo "$@"
"""


@pytest.fixture
def installs(tmp_path):
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "python"
    program.write_text(PYTHON.format(python=sys.executable))
    program.chmod(0o755)

    def install(action_path, **inputs):
        bash = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c"]
        done = subprocess.run(
            [*bash, INSTALL["run"]],
            env={
                **os.environ,
                "PATH": f"{program.parent}:{os.environ['PATH']}",
                "GITHUB_ACTION_PATH": str(action_path),
                **environment(INSTALL, **inputs),
            },
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.splitlines()

    return install


def test_installed_packages(installs, tmp_path):
    ours = resources.root()
    wanted = {
        (ours, ""): str(ours),
        (tmp_path, ""): "xlmgen",
        (ours, "0.1.0"): "xlmgen==0.1.0",
        (ours, "./a.whl"): "./a.whl",
        (ours, "--pre"): "--pre",
    }
    for (action_path, version), expected in wanted.items():
        first = installs(action_path, version=version)[0]
        assert first.endswith(f" --no-deps -- {expected}")


def test_check_and_review_need_only_installed_packages(installs, pull_request):
    _, needs, _ = installs(resources.root())
    listed = set(needs.removeprefix("file: ").split())
    assert listed <= set(requires("xlmgen"))
    packages = {re.match("[a-z0-9]+", need.lower())[0] for need in listed}
    assert packages == {"jinja2", "jsonschema", "pyyaml", "torch", "typer"}
    others = {need for need in requires("xlmgen") if ";" not in need} - listed
    left_out = {re.match("[a-z0-9]+", need.lower())[0] for need in others}
    assert {"lightning", "numpy", "rich", "ruamel"} <= left_out
    heavy = {*left_out, "torch"}  # the review has torch in another process only
    edit("layers: 3", "layers: 2")
    for words in (["check", "."], ["review", "--against", "main"]):
        script = (
            "import sys; from xlmgen.cli import main; main(sys.argv[1:]);"
            f"print('\\n' + repr(sorted({heavy!r} & set(sys.modules))))"
        )
        done = subprocess.run(
            [sys.executable, "-c", script, *words, "--format", "github"],
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.splitlines()[-1] == "[]"
