"""A user's own Python functions in a task: when they run, and their errors."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from xlmgen.cli import main
from xlmgen.data.task import load_task
from xlmgen.errors import UserError
from xlmgen.evaluation.scores import score
from xlmgen.review import Measure, review

CODE = """\
from random import Random
from my_tasks.words import DIGITS


def example(random: Random, length: int) -> dict[str, str]:
    digits = random.choices(DIGITS, k=length)
    return {"prompt": " ".join(digits), "target": " ".join(sorted(digits))}


def is_sorted(prompt: str, answer: str, target: str) -> bool:
    return answer.split() == sorted(answer.split())
"""
TASK = """\
spec: xlmgen/task/v1
name: sorting
layout: seq2seq
max_length: {prompt: 5, answer: 5}
source:
  python: "my_tasks.sorting:example"
  settings: {length: 4}
  sizes: {train: 60, validation: 9, test: 13}
tokenizer: {kind: vocabulary, range: 10}
metrics:
  - exact_match
  - python: "my_tasks.sorting:is_sorted"
"""
MODULE = Path("my_tasks/sorting.py")
SOURCE = "sorting.yaml:6: source.python: "
METRIC = "sorting.yaml:12: metrics[1].python: "
TRAIN = ("train", "toy.yaml", "task=./sorting.yaml", "training.max_steps=2")


@pytest.fixture
def sorting(project):
    """The project, with a task whose examples and one metric are the user's own."""
    MODULE.parent.mkdir()
    Path("my_tasks/words.py").write_text('DIGITS = "0123456789"\n', "utf-8")
    MODULE.write_text(CODE, "utf-8")
    Path("sorting.yaml").write_text(TASK, "utf-8")
    return project


def edit(path, old, new):
    text = Path(path).read_text("utf-8")
    assert text.count(old) == 1
    Path(path).write_text(text.replace(old, new), "utf-8")


def prompts(task, split):
    return [task.decode(example["prompt"]) for example in task.examples(split)]


def failed(capsys, *words):
    """The single error line of a failing command."""
    capsys.readouterr()
    assert main(words) in (1, 2)
    lines = capsys.readouterr().err.splitlines()
    (line,) = [line for line in lines if "error" in line]
    return line


def test_task_with_own_functions_trains_and_is_evaluated(
    sorting, tmp_path_factory, capsys
):
    where = str(tmp_path_factory.mktemp("elsewhere") / "run")
    assert main(["prepare", *TRAIN[1:3]]) == 0
    assert main([*TRAIN, "training.validate_every=1", "--run-dir", where]) == 0
    assert "val/is_sorted" in Path(where, "metrics.csv").read_text("utf-8")
    capsys.readouterr()
    assert main(["eval", where]) == 0
    out = capsys.readouterr().out
    results = json.loads(Path(where, "results/test.json").read_text("utf-8"))
    rows = [
        json.loads(line)
        for line in Path(where, "predictions/test.jsonl").read_text("utf-8").split("\n")
        if line
    ]
    right = [
        list(r["prediction"].split()) == sorted(r["prediction"].split()) for r in rows
    ]
    assert len(rows) == 13
    assert [row["is_sorted"] for row in rows] == right
    assert results["scores"]["is_sorted"] == pytest.approx(sum(right) / 13)
    assert f"is_sorted {sum(right) / 13:.4f}" in " ".join(out.split())
    assert "changed" not in out
    assert main(["generate", where, "--num", "1"]) == 0
    assert main(["data", f"{where}/experiment.yaml"]) == 0


def test_examples_are_distinct_and_reproducible(sorting, monkeypatch):
    task = load_task("sorting.yaml")
    found = {split: prompts(task, split) for split in ("train", "validation", "test")}
    everything = [prompt for some in found.values() for prompt in some]
    assert [len(some) for some in found.values()] == [60, 9, 13]
    assert len(set(everything)) == len(everything)

    monkeypatch.setenv("XLMGEN_CACHE", str(sorting / "other"))
    assert prompts(load_task("sorting.yaml"), "train") == found["train"]
    edit("sorting.yaml", "train: 60", "train: 70")
    larger = load_task("sorting.yaml")
    assert prompts(larger, "test") == found["test"]
    assert prompts(larger, "train")[:60] == found["train"]
    edit("sorting.yaml", "settings:", "seed: 1\n  settings:")
    assert prompts(load_task("sorting.yaml"), "test") != found["test"]


def test_a_prompt_has_one_target(sorting):
    edit(MODULE, "k=length)", "k=1)")
    edit(MODULE, "sorted(digits))", 'random.choices("0123456789", k=2))')
    edit(
        "sorting.yaml",
        "{train: 60, validation: 9, test: 13}",
        "{train: 8, validation: 1, test: 1}",
    )
    task = load_task("sorting.yaml")
    found = [
        p for split in ("train", "validation", "test") for p in prompts(task, split)
    ]
    assert sorted(found) == list("0123456789")


@pytest.mark.parametrize(
    ("layout", "returned"),
    [
        ("lm", '{"tokens": " ".join(digits)}'),
        ("infill", '{"tokens": " ".join(digits), "given": "1001"}'),
    ],
)
def test_own_source_for_lm_and_infill_layouts(layout, returned, sorting):
    edit("sorting.yaml", "layout: seq2seq", f"layout: {layout}")
    edit("sorting.yaml", "{prompt: 5, answer: 5}", "{length: 6}")
    edit("sorting.yaml", "  - exact_match\n", "")
    text = CODE[: CODE.index("    return")] + f"    return {returned}\n"
    text += (
        "def is_sorted(*row):\n    return row == ('', '3 4', '') or len(row[0]) + 2\n"
    )
    MODULE.write_text(text, "utf-8")
    task = load_task("sorting.yaml")
    examples = [task.examples("test")[0]]
    assert set(examples[0]) == set(task.columns)
    prompt = len("d[MASK][MASK]d") if layout == "infill" else 0
    expected = {"is_sorted": prompt + 2 if prompt else 1}
    assert score(task, examples, [task.tokenizer.encode("3 4")]) == expected


@pytest.mark.parametrize("file", [MODULE, Path("my_tasks/words.py")])
def test_edited_function_changes_examples(file, sorting):
    before = prompts(load_task("sorting.yaml"), "test")
    if file == MODULE:
        edit(file, "DIGITS, k", "DIGITS[:9], k")
    else:
        edit(file, "789", "788")  # same size, within the same second
    after = prompts(load_task("sorting.yaml"), "test")
    assert any("9" in prompt for prompt in before)
    assert not any("9" in prompt for prompt in after)


def test_edit_does_not_change_loaded_task(sorting):
    task = load_task("sorting.yaml")
    examples = list(task.examples("test"))
    answers = [example["target"].tolist() for example in examples]
    assert score(task, examples, answers)["is_sorted"] == 1
    edit(MODULE, "return answer.split()", "return 1 / 0 < 1 or answer.split()")
    assert score(task, examples, answers)["is_sorted"] == 1
    with pytest.raises(UserError, match="ZeroDivisionError"):
        score(load_task("sorting.yaml"), examples, answers)


def test_run_reports_changed_code(sorting, capsys):
    assert main([*TRAIN, "--run-dir", "run"]) == 0
    record = json.loads(Path("run/versions.json").read_text("utf-8"))
    assert list(record["code"]) == [
        f"my_tasks.sorting:{f}" for f in ("example", "is_sorted")
    ]
    more = [*TRAIN[:-1], "training.max_steps=3", "--run-dir", "run"]
    edit(MODULE, "k=length", "k=int(length)")
    for words in (["eval", "run"], more):
        capsys.readouterr()
        assert main(words) == 0
        assert (
            "note: the code of my_tasks.sorting:example, my_tasks.sorting:is_sorted "
            "has changed since the run run began"
        ) in capsys.readouterr().out
    MODULE.write_text(CODE, "utf-8")
    assert main(["eval", "run"]) == 0
    assert "changed" not in capsys.readouterr().out
    MODULE.unlink()
    assert "there is no module my_tasks/sorting.py" in failed(capsys, "eval", "run")


def test_check_lists_functions_without_importing_them(sorting, capsys):
    mark = "import pathlib; pathlib.Path('mark').touch()\n"
    MODULE.write_text(mark + CODE, "utf-8")
    assert main(["check", "sorting.yaml", "--strict"]) == 0
    lines = [x for x in capsys.readouterr().out.splitlines() if "XG40" in x]
    assert lines == [
        "sorting.yaml:6:11  XG405  source.python: runs example of my_tasks/sorting.py",
        "sorting.yaml:12:13  XG405  metrics[1].python: runs is_sorted of "
        "my_tasks/sorting.py",
    ]
    assert not Path("mark").exists()
    assert main(["prepare", *TRAIN[1:3]]) == 0
    assert Path("mark").exists()  # an import would have created it


@pytest.mark.parametrize("named", [["mine.yaml"], ["mine.yaml", "sorting.yaml"]])
def test_check_of_experiment_lists_functions_of_its_task(sorting, capsys, named):
    text = (
        "spec: xlmgen/experiment/v1\nfamily: mdlm\ntask: ./sorting.yaml\nsize: tiny\n"
    )
    Path("mine.yaml").write_text(text, "utf-8")
    assert main(["check", *named]) == 0
    out = capsys.readouterr().out
    assert out.count("sorting.yaml:6:11  XG405  source.python: runs example of") == 1
    assert out.count("sorting.yaml:12:13  XG405  metrics[1].python: runs") == 1
    edit("sorting.yaml", "my_tasks.sorting:example", "my_tasks.sort:example")
    assert main(["check", *named, "--strict"]) == 1
    assert capsys.readouterr().out.count("XG406") == 1


def test_check_warns_of_missing_module(sorting, capsys):
    edit("sorting.yaml", "my_tasks.sorting:example", "my_tasks.sort:example")
    assert main(["check", "sorting.yaml"]) == 0
    line = (
        "sorting.yaml:6:11  XG406  source.python: there is no module my_tasks/sort.py"
    )
    assert line in capsys.readouterr().out
    assert main(["check", "sorting.yaml", "--strict"]) == 1


def test_review_marks_new_function(sorting, capsys):
    def git(*words):
        identity = ("-c", "user.name=a", "-c", "user.email=a@b")
        subprocess.run(["git", *identity, *words], check=True, capture_output=True)

    edit("sorting.yaml", '  - python: "my_tasks.sorting:is_sorted"\n', "")
    git("init", "-q", "-b", "main")
    git("add", "sorting.yaml")
    git("commit", "-qm", "start")
    Path("sorting.yaml").write_text(TASK, "utf-8")
    found = review("main", [Path("sorting.yaml")], Measure(10, 10)).hooks
    assert [(hook.key, hook.target, hook.new) for hook in found] == [
        ("source.python", "my_tasks.sorting:example", False),
        ("metrics[1].python", "my_tasks.sorting:is_sorted", True),
    ]
    assert main(["review", "sorting.yaml", "--against", "main"]) == 0
    assert "my_tasks.sorting:is_sorted" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "def example(",
            "def exampel(",
            "my_tasks/sorting.py has no function 'example'; did you mean 'exampel'?",
        ),
        (
            "digits = random",
            "digits = = random",
            "my_tasks/sorting.py:6: SyntaxError: invalid syntax",
        ),
        (
            "k=length)",
            "k=length / 0)",
            "my_tasks/sorting.py:6: ZeroDivisionError: division by zero",
        ),
        (
            "k=length)",
            "k=length); int('x\\ny')",
            "my_tasks/sorting.py:6: ValueError: invalid literal for int() with base",
        ),
        ("k=length)", "k=length); exit(3)", "my_tasks/sorting.py:6: SystemExit: 3"),
        (
            "random: Random, length",
            "random: Random, size",
            "my_tasks/sorting.py:5: TypeError: example() got an unexpected keyword",
        ),
        (
            "import Random",
            "import Randon",
            "my_tasks/sorting.py:1: ImportError: cannot import name 'Randon'",
        ),
        (
            "return {",
            "return [], {",
            "my_tasks.sorting:example returned ([], {'prompt': ",
        ),
        (
            '"target": ',
            '"answer": ',
            'which is not an example; return {"prompt": a text, "target": a text}',
        ),
        ('" ".join(digits)', "1", "which is not an example"),
        (
            "digits = random.choices(DIGITS, k=length)",
            "digits = ['1'] * length",
            "asks for 82 different examples, and only 1 were found",
        ),
    ],
)
def test_mistake_in_source_function_is_one_line(old, new, said, sorting, capsys):
    edit(MODULE, old, new)
    line = failed(capsys, "prepare", *TRAIN[1:3])
    assert said in line
    assert line.startswith(f"error: {SOURCE}") or "were found" in line


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "def is_sorted(",
            "def is_srted(",
            "my_tasks/sorting.py has no function 'is_sorted'",
        ),
        (
            "== sorted(answer.split())",
            "+ 1",
            "my_tasks/sorting.py:11: TypeError: can only concatenate list",
        ),
        (
            "return answer.split() == sorted(answer.split())",
            "return answer",
            "which is not a finite number; return a finite number",
        ),
        (
            "return answer.split() == sorted(answer.split())",
            "return float('nan')",
            "my_tasks.sorting:is_sorted returned nan, which is not a finite number",
        ),
        (
            "return answer.split() == sorted(answer.split())",
            "return 10**400",
            "my_tasks.sorting:is_sorted returned 1000",
        ),
        (
            "return answer.split() == sorted(answer.split())",
            "return 10**9999",
            "returned an object of type int, which is not a finite number; return a",
        ),
    ],
)
def test_mistake_in_metric_function_is_one_line(old, new, said, sorting, capsys):
    edit(MODULE, old, new)
    line = failed(capsys, *TRAIN, "training.validate_every=1", "--run-dir", "run")
    assert line.startswith(f"error: {METRIC}")
    assert said in line


def test_metric_with_name_of_family_metric_is_refused(sorting, capsys):
    """It depends on the family, so the check of the task alone cannot find it."""
    edit(MODULE, "def is_sorted(", "def nll(")
    edit("sorting.yaml", "sorting:is_sorted", "sorting:nll")
    train = [*TRAIN, "--run-dir", "run"]
    line = failed(capsys, *train)
    assert line.startswith("error: task sorting: its metric 'nll' has the name of one")
    assert not Path("run").exists()
    assert main([*train, "evaluation.generate=0"]) == 0  # no answers, no scores


def test_too_long_example_is_located_once(sorting, capsys):
    edit("sorting.yaml", "max_length: {prompt: 5,", "max_length: {prompt: 4,")
    line = failed(capsys, "prepare", *TRAIN[1:3])
    place = (
        "the prompt of row 0 of the train split has 4 tokens, and max_length has room"
    )
    assert line.startswith(f"error: task sorting: {place} for 3 ")


def test_module_without_package_is_imported(sorting):
    Path("sorting.py").write_text(CODE, "utf-8")
    edit("sorting.yaml", "my_tasks.sorting:example", "sorting:example")
    task = load_task("sorting.yaml")
    assert len(prompts(task, "test")) == 13
    assert task.own_source.files == [(sorting / "sorting.py").resolve()]


def test_latest_project_is_searched_first(sorting, tmp_path):
    """Even if an earlier project has an unimported folder of the same name."""
    before = [*sys.path]
    Path("sorting.py").write_text(CODE.replace("my_tasks.words", "words"), "utf-8")
    Path("words.py").write_text('DIGITS = "01234"\n', "utf-8")
    edit("sorting.yaml", "my_tasks.sorting:example", "sorting:example")
    prompts(load_task("sorting.yaml"), "test")
    later = tmp_path / "later"
    shutil.copytree("my_tasks", later / "my_tasks")
    (later / ".git").mkdir()
    (later / "my_tasks" / "words.py").write_text('DIGITS = "6789"\n', "utf-8")
    (later / "sorting.yaml").write_text(TASK, "utf-8")
    found = "".join(prompts(load_task(str(later / "sorting.yaml")), "test"))
    assert set(found) == set("6789 ")
    assert [entry for entry in sys.path if entry in before] == before
    assert sys.path.count(str(later.resolve())) == 1


def test_mistake_before_training_leaves_no_run(sorting, capsys):
    edit(MODULE, "def is_sorted(", "def is_srted(")
    failed(capsys, *TRAIN, "--run-dir", "run")
    assert not Path("run").exists()


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("os:getcwd", "there is no module os.py"),
        ("xlmgen.io.files:write_text", "there is no module xlmgen/io/files.py"),
        ("my_tasks.other:example", "there is no module my_tasks/other.py"),
        ("json:example", "json is also the name of another module"),
    ],
)
def test_only_modules_of_the_project_are_imported(target, said, sorting, capsys):
    Path("json.py").write_text(CODE, "utf-8")
    edit("sorting.yaml", "my_tasks.sorting:example", target)
    ours = {name: module for name, module in sys.modules.items() if "my_" not in name}
    line = failed(capsys, "prepare", *TRAIN[1:3])
    assert line.startswith(f"error: {SOURCE}")
    assert said in line
    edit("json.py", "DIGITS, k", "DIGITS[:9], k")
    assert failed(capsys, "prepare", *TRAIN[1:3]) == line
    assert all(sys.modules[name] is module for name, module in ours.items())


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "sorting:is_sorted",
            "sorting:token_accuracy",
            "'token_accuracy' is the name of a metric of xlmgen; rename the function",
        ),
        (
            "sorting:is_sorted",
            "sorting:correct",
            "'correct' is the name of another column of result files",
        ),
        (
            "exact_match",
            "{python: 'other:is_sorted'}",
            "'is_sorted' is the name of another metric of this task",
        ),
        (
            "sorting:is_sorted",
            "sorting",
            "'my_tasks.sorting' is not of the form package.module:function",
        ),
        (
            "{length: 4}",
            "{my-length: 4}",
            "'my-length' is not a Python name; for example 'length'",
        ),
        ("exact_match", "exact_mach", "did you mean 'exact_match'?"),
        (
            "settings: {length: 4}",
            "files: {train: a.txt}",
            "names several sources; choose one of generator, python, corpus, files",
        ),
        (
            'python: "my_tasks.sorting:example"',
            "generator: star\n  files: {train: a.txt}",
            "names several sources; choose one of generator, python, corpus, files",
        ),
    ],
)
def test_mistake_in_yaml_is_one_problem(old, new, said, sorting, capsys):
    edit("sorting.yaml", old, new)
    assert main(["check", "sorting.yaml", "--format", "json"]) == 1
    (problem,) = json.loads(capsys.readouterr().out)
    assert said in f"{problem['message']}; {problem['fix']}"


def test_run_copy_names_the_same_functions(sorting):
    load_task("sorting.yaml").save(sorting)
    saved = yaml.safe_load(Path("task.yaml").read_text("utf-8"))
    assert saved["source"]["python"] == "my_tasks.sorting:example"
    assert load_task("task.yaml").code == load_task("sorting.yaml").code
