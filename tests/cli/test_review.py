"""`xlmgen review`: classes of changes, found without running code."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from xlmgen import resources
from xlmgen.cli import main
from xlmgen.review import Measure, network, review
from xlmgen.review.semantic import ABSENT

GOOD = Path(__file__).parents[1] / "specs" / "positive" / "mdlm.yaml"
SPEC = Path("families/mdlm/family.yaml")
EXPERIMENT = """\
spec: xlmgen/experiment/v1
family: mdlm
task: ./task.yaml
size: tiny
predictor: {steps: 8}
"""
MEASURE = Measure(vocabulary=100, length=64)


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch):
    """Networks are built here, where torch is imported already.

    `tests/review` and the tests with a process of their own build them in another.
    """
    here = SimpleNamespace(
        call=lambda function, argument, **_: json.loads(json.dumps(function(argument))),
        OutOfBounds=network.bounded.OutOfBounds,
    )
    monkeypatch.setattr(network, "bounded", here)


def git(*words):
    return subprocess.run(
        ["git", "-c", "user.name=a", "-c", "user.email=a@b", *words],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()


@pytest.fixture
def repository(tmp_path, monkeypatch, capsys):
    """A project with one rendered family and one experiment, committed."""
    monkeypatch.chdir(tmp_path)
    Path("mdlm.yaml").write_text(GOOD.read_text("utf-8"))
    assert main(["new", "mdlm.yaml"]) == 0
    Path("experiments").mkdir()
    Path("experiments/mine.yaml").write_text(EXPERIMENT)
    git("init", "-q", "-b", "main")
    git("add", ".")
    git("commit", "-qm", "start")
    capsys.readouterr()
    return tmp_path


def edit(old, new, path=SPEC):
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")


def items():
    paths = [Path("families"), Path("experiments")]
    return {item.path: item for item in review("main", paths, MEASURE).items}


def family():
    return items()[SPEC.as_posix()]


def changes(item):
    return {".".join(map(str, c.path)): (c.old, c.new) for c in item.changes}


def test_unresolved_merge_is_reported(repository, capsys):
    """The family is not taken for a renamed one: its name cannot be read."""
    edit("loss:", "<<<<<<< ours\nloss: 3\n=======\nloss:")
    edit("predictor:", ">>>>>>> theirs\npredictor:")
    assert main(["review", "--against", "main"]) == 1
    first, said, *_ = capsys.readouterr().out.splitlines()
    assert first == f"{SPEC}: family mdlm changed: invalid"
    assert "XG003  unresolved merge conflict; keep the right version" in said


def test_editor_schemas_are_not_used_for_validation(repository, capsys):
    assert main(["schemas"]) == 0
    git("add", ".")
    git("commit", "-qm", "schemas")
    edit("dropout: 0.1", "dropout: 0.2")
    capsys.readouterr()
    assert main(["review", "--against", "main"]) == 0
    assert "model.dropout: 0.1 → 0.2" in capsys.readouterr().out


def test_unchanged_commit_has_no_differences(repository, capsys):
    assert main(["review", "--against", "main"]) == 0
    assert capsys.readouterr().out == "nothing differs from main\n"


def test_explicit_default_and_comments_are_no_change(repository):
    edit(
        "loss: {kind: masked, weight: schedule}",
        "# why\nloss: {weight: schedule, kind: masked}",
    )
    edit("steps: 128", "steps: 128, temperature: 1.0")
    item = family()
    assert (item.changes, item.classes, item.diff) == ([], [], "")


@pytest.mark.parametrize(
    ("old", "new", "classes", "changed"),
    [
        ("steps: 128", "steps: 64", ["behaviour"], {"predictor.steps": (128, 64)}),
        ("dropout: 0.1", "dropout: 0.2", ["behaviour"], {"model.dropout": (0.1, 0.2)}),
        (
            "tiny:  {d_model: 128",
            "tiny:  {d_model: 64",
            ["checkpoint"],
            {"sizes.tiny.d_model": (128, 64)},
        ),
        (
            "time: adaln",
            "time: none",
            ["checkpoint", "source", "behaviour"],
            {"model.time": ("adaln", "none")},
        ),
        (
            "attention: bidirectional,",
            "attention: bidirectional, norm: rms,",
            ["behaviour"],
            {"model.norm": ("layer", "rms")},
        ),
        (
            "sizes:\n",
            "sizes:\n  huge: {d_model: 8, layers: 1, num_heads: 1}\n",
            [],
            {"sizes.huge": (ABSENT, None)},
        ),
        (
            "  small: {d_model: 768, layers: 12, num_heads: 12}\n",
            "",
            ["config"],
            {"sizes.small": (None, ABSENT)},
        ),
    ],
)
def test_classes_of_change(repository, old, new, classes, changed):
    edit(old, new)
    item = family()
    assert item.classes == classes
    assert set(changes(item)) == set(changed)
    for key, (before, after) in changed.items():
        said = changes(item)[key]
        assert before is None or said[0] == before
        assert after is None or said[1] == after


def test_old_experiments_are_validated_against_new_family(repository):
    edit("  tiny:", "  mini:")
    assert [r.text for r in family().reasons if r.of == "config"] == [
        "the size tiny is gone"
    ]
    edit("  mini:", "  tiny:")
    edit("order: random", "order: margin")
    edit("steps: 8", "threshold: 0.9", Path("experiments/mine.yaml"))
    git("commit", "-qam", "by threshold")
    edit("order: margin", "order: random")
    (reason,) = (r.text for r in family().reasons if r.of == "config")
    assert reason.startswith("experiments/mine.yaml: ")
    assert "predictor.threshold" in reason


def test_costs_equal_those_of_the_real_network(repository, monkeypatch):
    import torch

    from xlmgen.registry import load_family

    for name in [n for n in sys.modules if n.startswith("xlmgen.families.mdlm")]:
        monkeypatch.delitem(sys.modules, name)  # of another folder
    edit("dropout: 0.1", "dropout: 0.2")
    item = family()
    model = load_family("mdlm").model
    with torch.device("meta"):
        real = model(MEASURE.vocabulary, d_model=128, layers=4, num_heads=4)
    before, after = item.networks["tiny"]
    assert before == after
    assert after.parameters == sum(p.numel() for p in real.parameters())
    assert after.modules == {
        name: sum(p.numel() for p in module.parameters())
        for name, module in real.named_children()
        if list(module.parameters())
    }
    linear = {
        name: module.weight.numel()
        for name, module in real.named_modules()
        if isinstance(module, torch.nn.Linear)
    }
    # Modulation is computed once for a row, and positions have no gradient.
    once = sum(n for name, n in linear.items() if once_a_row(name))
    constant = linear.get("absolute", 0)
    each = sum(linear.values()) - once
    attention = 12 * 4 * 128 * MEASURE.length
    flops = 6 * each - 2 * constant + attention
    assert abs(after.flops - flops) <= 6 * once / MEASURE.length + 1


def once_a_row(name):
    return name.startswith("time") or "modulation" in name


def test_networks_that_stay_as_they_were_are_not_built(repository, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a network is built")

    monkeypatch.setattr(network.bounded, "call", refuse)
    edit("steps: 128", "steps: 64")
    assert family().networks == {}
    edit("sizes:\n", "sizes:\n  huge: {d_model: 8, layers: 1, num_heads: 1}\n")
    with pytest.raises(AssertionError, match="a network is built"):
        family()


def test_edited_render_is_reviewed(repository):
    path = SPEC.parent / "loss_mdlm.py"
    edit("clamp(min=1)", "clamp(min=2)", path)
    item = family()
    assert item.classes == ["behaviour"]
    assert item.reasons[0].text == "loss_mdlm.py computes something else"
    assert "+        loss = nll.sum() / num_tokens.sum().clamp(min=2)" in item.diff


def test_an_edited_network_is_unknown(repository):
    """Its code is not run: neither its weights nor its costs are guessed at."""
    edit("self.head", "self.to_logits", SPEC.parent / "model_mdlm.py")
    item = family()
    assert item.classes == ["checkpoint", "behaviour"]
    assert item.reasons[0].text.startswith(
        "tiny, small: its weights could not be determined: model_mdlm.py is not "
    )
    before, after = item.networks["tiny"]
    assert before.parameters > 0
    assert after is None
    assert any("model_mdlm.py is not" in note for note in item.notes)


def test_a_network_edited_before_and_after_is_unknown_where_it_may_differ(repository):
    edit("self.head", "self.to_logits", SPEC.parent / "model_mdlm.py")
    git("commit", "-qam", "edited")
    edit("steps: 128", "steps: 64")
    assert family().classes == ["behaviour"]
    edit("tiny:  {d_model: 128", "tiny:  {d_model: 64")
    item = family()
    assert item.classes == ["checkpoint", "behaviour"]
    assert item.reasons[0].text.startswith("tiny: its weights could not be determined")
    assert item.networks == {"tiny": (None, None)}


@pytest.mark.parametrize("text", ["<<<<<<< HEAD\n", "\0", "(" * 10_000])
def test_edit_that_is_not_python_breaks_all(repository, text):
    path = SPEC.parent / "model_mdlm.py"
    path.write_text(path.read_text("utf-8") + text, "utf-8")
    item = family()
    assert item.classes == ["checkpoint", "source", "behaviour"]
    assert "could not be determined" in item.reasons[0].text
    assert "is not Python" in item.reasons[1].text


def test_changed_comments_and_docstrings_have_no_class(repository):
    edit("# 1. Hidden states", "# First, the head runs", SPEC.parent / "loss_mdlm.py")
    item = family()
    assert item.classes == []
    assert item.diff


def test_added_removed_and_renamed_families_are_listed(repository, capsys):
    other = GOOD.read_text("utf-8").replace("name: mdlm", "name: mine")
    Path("mine.yaml").write_text(other)
    assert main(["new", "mine.yaml"]) == 0
    found = items()
    assert found["families/mine/family.yaml"].event == "added"
    assert found["families/mine/family.yaml"].classes == []
    for path in sorted(Path("families/mdlm").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    item = items()["families/mine/family.yaml"]
    assert item.event == "renamed from mdlm"
    assert item.classes == ["config", "source"]
    edit("dropout: 0.1", "dropout: 0.3", Path("families/mine/family.yaml"))
    found = items()
    assert found[SPEC.as_posix()].event == "removed"
    assert found[SPEC.as_posix()].classes == ["config", "source"]


def test_experiments_and_tasks_are_compared(repository):
    path = Path("experiments/mine.yaml")
    edit("steps: 8", "steps: 16", path)
    item = items()["experiments/mine.yaml"]
    assert changes(item) == {"predictor.steps": (8, 16)}
    assert (item.classes, item.line) == (["behaviour"], 5)
    edit("family: mdlm", "family: mdlm\nname: another", path)
    assert "name" in changes(items()["experiments/mine.yaml"])
    path.unlink()
    assert items()["experiments/mine.yaml"].event == "removed"


def test_changed_tokenizer_breaks_checkpoints(project, capsys):
    git("init", "-q", "-b", "main")
    git("add", ".")
    git("commit", "-qm", "start")
    edit("range: 10}", "range: 12}", Path("toy_task.yaml"))
    (item,) = review("main", [Path("toy_task.yaml")], MEASURE).items
    assert item.classes == ["checkpoint"]
    Path("toy_task.yaml").unlink()
    (item,) = review("main", [Path("toy_task.yaml")], MEASURE).items
    assert (item.event, item.classes) == ("removed", ["config"])


def test_invalid_spec_is_reported_and_fails(repository, capsys):
    edit("weight: schedule", "weight: schedul")
    assert main(["review", "--against", "main"]) == 1
    out = capsys.readouterr().out
    assert "families/mdlm/family.yaml:12:30  XG104  loss.weight" in out
    assert "invalid" in out.splitlines()[-1]


@pytest.mark.parametrize(
    ("fail_on", "code"),
    [("", 0), ("checkpoint,config,source", 0), ("config, behaviour", 1)],
)
def test_named_classes_fail(repository, fail_on, code):
    edit("steps: 128", "steps: 64")
    assert main(["review", "--against", "main", "--fail-on", fail_on]) == code


def test_text(repository, capsys):
    edit("steps: 128", "steps: 64")
    main(["review", "--against", "main", "--no-diff", "families"])
    assert capsys.readouterr().out.splitlines()[:3] == [
        "families/mdlm/family.yaml: family mdlm changed: behaviour",
        "  predictor.steps: 128 → 64",
        "  behaviour: predictor_mdlm.py computes something else",
    ]
    main(["review", "--against", "main", "families"])
    assert "+        steps: int = 64," in capsys.readouterr().out


def test_annotations_are_printed(repository, capsys):
    edit("time: adaln", "time: none")
    main(["review", "--against", "main", "--format", "github"])
    (line,) = capsys.readouterr().out.splitlines()
    number = SPEC.read_text("utf-8").partition("time: none")[0].count("\n") + 1
    assert line.startswith(f"::warning file={SPEC.as_posix()},line={number},")
    assert "title=review%3A checkpoint" in line


def test_markdown_page_escapes_texts_of_specs(repository, capsys):
    text = SPEC.read_text("utf-8")
    SPEC.write_text(
        re.sub(r"(?m)^title: .*$", "title: 'a ``` <b> | [x](y)'", text), "utf-8"
    )
    main(["review", "--against", "main", "--format", "markdown"])
    out = capsys.readouterr().out
    assert r"\`\`\` \<b\> \| \[x\](y)" in out
    fence = re.search(r"^(`+)diff$", out, re.MULTILINE)[1]
    assert len(fence) > 3
    assert out.count(fence) == 2


def test_all_hooks_are_listed(repository):
    task = "spec: xlmgen/task/v1\nname: t\nsource:\n  python: mine.code:rows\n"
    Path("experiments/t.yaml").write_text(task)
    (hook,) = review("main", [Path("experiments")], MEASURE).hooks
    assert (hook.path, hook.line, hook.key) == (
        "experiments/t.yaml",
        4,
        "source.python",
    )
    assert (hook.target, hook.new) == ("mine.code:rows", True)
    git("add", ".")
    git("commit", "-qm", "hook")
    (hook,) = review("main", [Path("experiments")], MEASURE).hooks
    assert not hook.new


WORDS = """\
spec: xlmgen/task/v1
name: words
layout: lm
max_length: {length: 16}
source: {files: {train: a.txt}}
tokenizer: {kind: byte}
packing: none
"""


def packed(text="none"):
    """A family whose collator refuses some packings, a task and an experiment."""
    folder = Path("families/drops")
    folder.mkdir()
    spec = (resources.root() / "families/ilm/family.yaml").read_text("utf-8")
    spec = spec.replace("name: ilm", "name: drops")
    (folder / "family.yaml").write_text(spec, "utf-8")
    Path("tasks").mkdir()
    Path("tasks/words.yaml").write_text(WORDS.replace("none", text), "utf-8")
    Path("experiments/drops.yaml").write_text(
        EXPERIMENT.replace("mdlm", "drops")
        .replace("./task.yaml", "words")
        .replace("predictor: {steps: 8}\n", "")
    )
    git("add", ".")
    git("commit", "-qm", "words")


def reasons_of(path):
    found = review(
        "main", [Path("families"), Path("tasks"), Path("experiments")], MEASURE
    )
    (item,) = [item for item in found.items if item.path == path]
    return [reason.text for reason in item.reasons if reason.of == "config"]


def test_unsupported_packing_breaks_experiments(repository):
    packed()
    edit("packing: none", "packing: documents", Path("tasks/words.yaml"))
    (said,) = reasons_of("tasks/words.yaml")
    assert said.startswith(
        "experiments/drops.yaml: task: the family drops does not support "
    )
    assert "packing: documents" in said
    edit("packing: documents", "packing: packed", Path("tasks/words.yaml"))
    assert reasons_of("tasks/words.yaml") == []


def test_collator_without_packing_breaks_experiments(repository):
    packed("packed")
    file = Path("families/drops/family.yaml")
    edit("eos: false", "eos: true", file)
    (said,) = reasons_of(file.as_posix())
    assert said.startswith(
        "experiments/drops.yaml: task: the family drops does not support "
    )


def test_review_changes_neither_files_nor_repository(repository):
    edit("steps: 128", "steps: 64")
    Path("note.txt").write_text("mine")
    before = git("status", "--porcelain"), git("rev-parse", "HEAD")
    files = {p: p.read_bytes() for p in Path().rglob("*") if p.is_file()}
    main(["review", "--against", "main"])
    assert {p: p.read_bytes() for p in Path().rglob("*") if p.is_file()} == files
    assert (git("status", "--porcelain"), git("rev-parse", "HEAD")) == before


def test_defaults_come_from_schemas_of_the_commit(repository, capsys):
    """Where templates and schemas are in the repository, a default can change."""
    shutil.copytree(resources.root() / "schemas", "schemas")
    kind = Path("schemas/kinds/predictor/unmasking.schema.json")
    text = kind.read_text("utf-8")
    spot = re.search(r'"temperature": \{.*?"default": 1.0', text, re.DOTALL)
    kind.write_text(text.replace(spot[0], spot[0].replace("1.0", "0.5")))
    git("add", ".")
    git("commit", "-qm", "another default")
    kind.write_text(text)
    assert changes(family()) == {"predictor.temperature": (0.5, 1.0)}


def test_changed_layers_of_xlmgen_are_detected(repository):
    """As in xlmgen's own repository: a render can be the same and its weights not."""
    shutil.copytree(resources.root() / "xlmgen" / "runtime" / "nn", "xlmgen/runtime/nn")
    git("add", ".")
    git("commit", "-qm", "layers")
    assert items() == {}
    attention = Path("xlmgen/runtime/nn/attention.py")
    attention.write_text(attention.read_text("utf-8") + "# a comment\n", "utf-8")
    git("commit", "-qam", "the same code")
    assert items() == {}
    edit("self.qkv", "self.fused", attention)
    git("commit", "-qam", "as they were")
    item = family()
    assert item.classes == ["checkpoint"]
    assert "its xlmgen.runtime.nn is not the installed one" in item.reasons[0].text
    assert (item.changes, item.diff) == ([], "")


RUN = "\nopen('ran', 'w').close()\n"


def test_rendered_code_is_never_run(repository):
    """Neither that of the working tree nor that of the commit."""
    files = [SPEC.parent / f"{part}_mdlm.py" for part in ("model", "loss")]
    for path in (*files, SPEC.parent / "__init__.py"):
        path.write_text(path.read_text("utf-8") + RUN, "utf-8")
    edit("tiny:  {d_model: 128", "tiny:  {d_model: 64")
    assert family().networks["tiny"][1] is None
    git("commit", "-qam", "with code")
    edit("tiny:  {d_model: 64", "tiny:  {d_model: 32")
    assert family().networks == {"tiny": (None, None)}
    assert not Path("ran").exists()


def test_no_module_of_the_project_is_imported(repository):
    """The process that imports torch does not find one in the current folder."""
    for name in ("torch", "jinja2", "json"):
        Path(f"{name}.py").write_text(RUN)
    edit("dropout: 0.1", "dropout: 0.2")
    script = (
        "import sys; from xlmgen.cli import main; "
        "sys.exit(main(['review', '--against', 'main', '--no-diff', 'families']))"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-P", "-c", script],
        check=True,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert "MFLOP" in done.stdout
    assert not Path("ran").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--against", "nowhere"], "there is no commit 'nowhere'"),
        (["--against", "--output=x"], "there is no commit '--output=x'"),
        (["--against", "main", "nothing"], "there is no file or folder nothing"),
        (["--against", "main", ".."], "is not in the repository"),
        (["--against", "main", "--fail-on", "chekpoint"], "did you mean 'checkpoint'?"),
        ([], "--against"),
    ],
)
def test_unreviewable_input_is_one_line(repository, capsys, words, said):
    assert main(["review", *words]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_review_outside_of_repository_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert main(["review", "--against", "main"]) == 2
    assert "is not in a readable git repository" in capsys.readouterr().err


def test_shallow_clone_is_reported(repository, capsys, monkeypatch):
    edit("steps: 128", "steps: 64")
    first = git("rev-parse", "HEAD")
    git("commit", "-qam", "second")
    git("clone", "-q", "--depth", "1", f"file://{repository}", "clone")
    monkeypatch.chdir("clone")
    assert main(["review", "--against", first]) == 2
    assert "this clone is shallow" in capsys.readouterr().err


def test_missing_git_is_reported(repository, capsys, monkeypatch):
    monkeypatch.setenv("PATH", os.devnull)
    assert main(["review", "--against", "main"]) == 2
    assert "cannot run git" in capsys.readouterr().err


def test_unusual_file_names_are_read(repository):
    odd = Path("experiments/ü b\nc.yaml")
    odd.write_text(EXPERIMENT, "utf-8")
    git("add", ".")
    git("commit", "-qm", "odd")
    edit("steps: 8", "steps: 9", odd)
    assert odd.as_posix() in items()


def test_torch_is_not_imported(repository):
    edit("steps: 128", "steps: 64")
    script = (
        "import sys; from xlmgen.cli import main; main(['review', '--against', 'main'])"
        "; sys.exit('torch' in sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    subprocess.run([sys.executable, "-c", script], check=True, env=environment)


@pytest.fixture
def own_kinds(tmp_path, monkeypatch, capsys):
    """A project with kinds of its own in a folder of a repository, committed."""
    example = Path(__file__).parents[2] / "examples" / "own-kind"
    shutil.copytree(example, tmp_path / "inner")
    monkeypatch.chdir(tmp_path)
    git("init", "-q", "-b", "main")
    monkeypatch.chdir("inner")
    assert main(["new", "comb.yaml"]) == 0
    Path("comb.yaml").unlink()
    git("add", ".")
    git("commit", "-qm", "start")
    capsys.readouterr()


COMB = Path("families/comb/family.yaml")


def test_component_of_own_kind_is_reported(own_kinds, capsys):
    assert main(["review", "--against", "main"]) == 0
    line = (
        "inner/families/comb/family.yaml:11: predictor.kind is rendered by the "
        "project's own templates/family/predictor/spaced.py.jinja"
    )
    assert f"{line}\n" in capsys.readouterr().out
    git("rm", "-rq", "--cached", "families")
    git("commit", "-qm", "without it")
    main(["review", "--against", "main"])
    assert f"{line} (new)\n" in capsys.readouterr().out


def test_a_family_with_kinds_of_the_projects_own_is_unknown(own_kinds):
    edit("d_model: 96", "d_model: 64", COMB)
    (item,) = review("main", [Path("families")], MEASURE).items
    assert item.classes[0] == "checkpoint"
    reason = "code of the project's own kinds is not run (predictor spaced)"
    assert reason in item.reasons[0].text
    assert set(item.networks.values()) == {(None, None)}
    assert any(reason in note for note in item.notes)


def test_own_kinds_come_from_the_commit(own_kinds):
    schema = Path("schemas/kinds/predictor/spaced.schema.json")
    template = Path("templates/family/predictor/spaced.py.jinja")
    edit('"minimum": 1,\n      "default": null', '"default": 3', schema)
    edit("ranks(-waiting)", "ranks(waiting)", template)
    (item,) = review("main", [Path("families")], MEASURE).items
    assert changes(item) == {"predictor.top_k": (None, 3)}
    assert item.classes == ["behaviour"]
    assert "ranks(waiting)" in item.diff


def test_commit_without_render_is_rendered_with_its_kinds(own_kinds):
    git("rm", "-q", "--cached", "families/comb/family.lock")
    git("commit", "-qm", "without a lock")
    edit("steps: 8", "steps: 16", COMB)
    (item,) = review("main", [Path("families")], MEASURE).items
    assert changes(item) == {"predictor.steps": (8, 16)}
    assert not any("cannot render" in note for note in item.notes)


def test_invalid_own_kind_is_reported_for_its_side(own_kinds):
    schema = Path("schemas/kinds/predictor/spaced.schema.json")
    edit('"type": "object"', '"type": "objec"', schema)
    (item,) = review("main", [Path("families")], MEASURE).items
    assert [problem.code for problem in item.problems] == ["XG401"]
    git("commit", "-qam", "broken")
    edit('"type": "objec"', '"type": "object"', schema)
    assert review("main", [Path("families")], MEASURE).items == []


def test_missing_git_object_is_reported(repository, capsys):
    blob = git("rev-parse", f"HEAD:{SPEC.as_posix()}")
    stored = Path(".git/objects") / blob[:2] / blob[2:]
    stored.unlink()
    assert main(["review", "--against", "main"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: git ")
    assert len(said.splitlines()) == 1
    assert "git fsck" in said
