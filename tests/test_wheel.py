"""What is installed from the wheel works without the checkout."""

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

SCRIPT = """
import sys
from importlib.metadata import distribution
(script,) = distribution("xlmgen").entry_points.select(group="console_scripts")
assert script.name == "xlmgen"
sys.argv[1:] = ["--version"]
assert script.load()() == 0
"""

CORPUS = ("README.md", "train.txt", "validation.txt", "test.txt")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built from this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", str(ROOT), "--no-deps"]
    offline = ["--no-build-isolation", "--no-index", "--quiet", "-w", str(folder)]
    subprocess.run([*command, *offline], check=True, cwd=folder)
    (built,) = folder.glob("xlmgen-*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """A function that runs a program of a fresh environment in an empty folder.

    The environment has the wheel of its own. What the wheel depends on it borrows from
    this one, whose own editable installation of the checkout does not come along: the
    `.pth` files of a borrowed folder are not read.
    """
    folder = tmp_path_factory.mktemp("fresh")
    home = folder / "venv"
    venv.create(home, with_pip=False, symlinks=True)
    python = home / "bin" / "python"
    site = next((home / "lib").glob("python*/site-packages"))
    command = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index"]
    subprocess.run([*command, "--quiet", "--target", str(site), str(wheel)], check=True)
    (site / "borrowed.pth").write_text(f"{sysconfig.get_paths()['purelib']}\n")
    empty = folder / "project"
    empty.mkdir()
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("XLMGEN", "PYTEST", "PYTHON", "COV"))
    }
    environment |= {"XLMGEN_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1"}

    def run(*words, code=0):
        done = subprocess.run(
            [str(python), *words],
            cwd=empty,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == code, f"{words}: {done.stdout}{done.stderr}"
        assert "Traceback" not in done.stderr
        return done.stdout

    run.project = empty
    run.site = site
    return run


def test_wheel_has_exactly_the_needed_files(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    bundled = "xlmgen/_bundled"
    for folder in ("schemas", "templates", "families"):
        expected = {
            f"{bundled}/{path.relative_to(ROOT).as_posix()}" for path in tracked(folder)
        }
        assert expected == {n for n in names if n.startswith(f"{bundled}/{folder}/")}
    assert f"{bundled}/action.yml" in names
    assert {f"xlmgen/tasks/texts/shakespeare/{n}" for n in CORPUS} <= names
    code = {path.relative_to(ROOT).as_posix() for path in tracked("xlmgen")}
    assert code <= names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    others = {n.partition("/")[0] for n in names} - {"xlmgen"}
    assert all(name.endswith(".dist-info") for name in others)


def tracked(folder):
    """The files of a folder that are no leftovers of running them."""
    return [
        path
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and not {"__pycache__", ".pytest_cache"} & set(path.parts)
    ]


def test_commands_work_from_installed_wheel(installed):
    assert "check" in installed("-m", "xlmgen", "--help")
    where = installed("-c", "import xlmgen; print(xlmgen.__file__)").strip()
    assert Path(where).is_relative_to(installed.site)
    assert Path(where).with_name("py.typed").is_file()
    installed("-c", SCRIPT)

    listed = installed("-m", "xlmgen", "list")
    for name in ("arlm", "mdlm", "star_tiny", "shakespeare_char", "text"):
        assert f"  {name} " in listed
    assert str(ROOT) not in listed

    spec = (ROOT / "examples" / "scout.yaml").read_text("utf-8")
    (installed.project / "scout.yaml").write_text(spec, "utf-8")
    assert "no problems" in installed("-m", "xlmgen", "check", "scout.yaml")
    installed("-m", "xlmgen", "schemas")
    assert (installed.project / "schemas" / "experiment.schema.json").is_file()
    installed("-m", "xlmgen", "new", "scout.yaml")
    rendered = (installed.project / "families/scout/family.yaml").read_text("utf-8")
    assert "$schema=../../schemas/family.schema.json\n" in rendered
    assert "no problems" in installed("-m", "xlmgen", "check")
    assert "scout" in installed("-m", "xlmgen", "list")

    installed("-m", "xlmgen", "init", "lab")
    specs = ("lab/families/mine/family.yaml", "lab/tasks")
    assert "2 files checked: no problems" in installed("-m", "xlmgen", "check", *specs)
    schema = installed.project / "lab" / "schemas" / "family.schema.json"
    assert (
        schema.read_bytes()
        == (installed.project / "schemas" / "family.schema.json").read_bytes()
    )


def test_corpus_is_read_from_installed_wheel(installed):
    rows = installed(
        "-c",
        "from xlmgen.data.task import load_task;"
        "print(len(load_task('shakespeare_char').examples('test')))",
    )
    assert rows == "830\n"


def test_built_in_family_trains_from_installed_wheel(installed):
    experiment = installed.site / "xlmgen/_bundled/families/mdlm/experiments"
    settings = ("max_steps=2", "batch_size=4", "warmup_steps=0")
    out = installed(
        *("-m", "xlmgen", "train", str(experiment / "star_tiny.yaml")),
        *(f"training.{setting}" for setting in settings),
        *("evaluation.generate=2", "--run-dir", "run"),
    )
    assert "step 2/2" in out
    assert (installed.project / "run" / "metrics.csv").is_file()
    used = installed(
        "-c",
        "from xlmgen.registry import load_family;"
        "import sys; load_family('mdlm');"
        "print(sys.modules['xlmgen.families.mdlm'].__file__);"
        "import xlmgen.training.harness; print(xlmgen.training.harness.__file__)",
    )
    for file in used.split():
        assert Path(file).is_relative_to(installed.site), file
