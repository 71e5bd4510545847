"""`xlmgen pull`: the run that was pushed, or a message and nothing on disk."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from safetensors.numpy import load_file

from xlmgen.cli import main
from xlmgen.io import locks

from .conftest import EXPERIMENT, TASK
from .standin import READER, WRITER

EXAMPLE = Path(__file__).parents[2] / "examples" / "own-kind"

LOSS = "families/mdlm/loss_mdlm.py"


def said(capsys, *words):
    code = main(["pull", *words])
    out, err = capsys.readouterr()
    return code, out, err


def refused(capsys, *words):
    """The one line that a pull is refused with, which leaves nothing."""
    before = sorted(Path().rglob("*"))
    code, _, err = said(capsys, *words)
    assert code == 2
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert sorted(Path().rglob("*")) == before
    return err


def test_eval_and_generate_give_what_the_run_gave(run, pushed, capsys):
    code, out, _ = said(capsys, "me/star")
    assert code == 0
    assert f"runs/star  step 4 of me/star at {pushed.branches['main'][:8]}" in out
    assert main(["eval", "runs/star"]) == 0
    pulled = Path("runs/star")
    ours = json.loads((run / "results" / "test-checkpoint=4.json").read_text())
    theirs = json.loads((pulled / "results" / "test.json").read_text())
    assert theirs == {**ours, "step": 0}
    answers = (run / "predictions" / "test-checkpoint=4.jsonl").read_bytes()
    assert (pulled / "predictions" / "test.jsonl").read_bytes() == answers
    answers = []
    for folder in ("run", "runs/star"):
        capsys.readouterr()
        assert main(["generate", folder, "--num", "3", "--trace"]) == 0
        answers.append(capsys.readouterr().out)
    assert answers[0] == answers[1]
    # an algorithm of the predictor that is rendered beside it, from its own spec
    assert main(["eval", "runs/star", "predictor.order=random", "--limit", "2"]) == 0


def test_it_holds_what_was_pushed(run, pushed, capsys):
    assert said(capsys, "me/star", "new/one")[0] == 0
    files = {p.relative_to("new/one").as_posix() for p in Path("new/one").rglob("*.*")}
    place = "checkpoints/step=000000"
    files -= {place}
    not_pulled = {".gitattributes", "tokenizer_config.json", "xlmgen.json"}
    assert files == set(pushed.texts()) - not_pulled | {
        f"{place}/model.safetensors",
        f"{place}/imported.json",
        f"{place}/manifest.json",
        "imported.json",
    }
    for path, content in pushed.texts().items():
        if path in files:
            assert Path("new/one", path).read_bytes() == content
    origin = json.loads(Path("new/one", place, "imported.json").read_text())
    assert origin["commit"] == pushed.branches["main"]
    assert (origin["step"], origin["from"][-8:]) == (4, "/me/star")
    assert [p.name for p in Path("new").iterdir()] == ["one"]


def test_train_goes_on_from_the_weights(run, pushed, capsys):
    assert said(capsys, "me/star")[0] == 0
    words = ("runs/star/experiment.yaml", "--run-dir", "runs/star")
    assert main(["train", *words, "training.max_steps=1"]) == 0
    place = Path("runs/star/checkpoints")
    before = load_file(place / "step=000000" / "model.safetensors")
    after = load_file(place / "step=000001" / "model.safetensors")
    moved = {name: abs(after[name] - before[name]).max() for name in before}
    assert 0 < max(moved.values()) < 1e-3  # of a step that is warming up


def test_what_was_trained_further_can_be_pushed_again(run, pushed, hub, capsys):
    assert said(capsys, "me/star")[0] == 0
    words = ("runs/star/experiment.yaml", "--run-dir", "runs/star")
    assert main(["train", *words, "training.max_steps=1"]) == 0
    assert main(["push", "runs/star", "me/more", "--checkpoint", "last"]) == 0
    texts = hub.repos["me/more"].texts()
    assert texts[LOSS] == pushed.texts()[LOSS]
    assert texts["task.yaml"] == pushed.texts()["task.yaml"]
    assert not any(os.fsencode(Path.cwd()) in text for text in texts.values())
    capsys.readouterr()
    assert said(capsys, "me/more")[0] == 0


def test_a_revision(run, pushed, capsys):
    first = pushed.branches["main"]
    assert main(["push", "run", "me/star", "--checkpoint", "2"]) == 0
    words = ("--checkpoint", "4", "--revision", "half/way")
    assert main(["push", "run", "me/star", *words]) == 0
    capsys.readouterr()
    for revision, step in ((first, 4), ("main", 2), ("half/way", 4)):
        folder = f"of-{Path(revision).name}"
        assert said(capsys, "me/star", folder, "--revision", revision)[0] == 0
        weights = Path(folder, "checkpoints/step=000000/model.safetensors")
        own = run / "checkpoints" / f"step=00000{step}" / "model.safetensors"
        assert weights.read_bytes() == own.read_bytes()


def test_edited_code_is_refused_and_named_and_never_run(run, pushed, hub, capsys):
    mark = Path("mark")
    code = f"__import__('pathlib').Path({str(mark.absolute())!r}).touch()\n".encode()
    hub.edit("me/star", LOSS, lambda text: code + text)
    hub.edit("me/star", "families/mdlm/extra.py", lambda _: code)
    hub.requests.clear()
    err = refused(capsys, "me/star")
    assert "not the render of its family.yaml: extra.py, loss_mdlm.py differ" in err
    assert "--trust-code" in err
    assert not any("safetensors" in path for _, path in hub.requests)  # not yet

    assert said(capsys, "me/star", "--trust-code")[0] == 0
    assert not mark.exists()
    assert Path("runs/star", LOSS).read_bytes() == code + (run / LOSS).read_bytes()
    assert main(["eval", "runs/star", "--limit", "2"]) == 0
    assert mark.exists()  # the test would have seen it run


def test_code_that_is_missing_is_refused(run, pushed, hub, capsys):
    hub.edit("me/star", LOSS, lambda _: None)
    err = refused(capsys, "me/star")
    assert "not the render of its family.yaml: loss_mdlm.py differs" in err


@pytest.fixture
def with_metric(run, pushed, hub):
    """The repository with a metric of the owner's own, whose code nobody pushed."""

    def name(text):
        named = b"- token_accuracy\n- python: my_metrics:is_short\n"
        return text.replace(b"- token_accuracy\n", named)

    hub.edit("me/star", "task.yaml", name)


def test_python_that_a_task_names_is_refused_and_named(with_metric, capsys):
    Path("my_metrics.py").write_text("import pathlib; pathlib.Path('mark').touch()\n")
    err = refused(capsys, "me/star")
    assert (
        "its task runs Python functions that are not in the repository: "
        "my_metrics:is_short"
    ) in err
    assert "--trust-code" in err
    assert not Path("mark").exists()


def test_python_that_a_task_names_must_be_the_puller_s_own(with_metric, capsys):
    assert said(capsys, "me/star", "--trust-code")[0] == 0
    evaluate = ["eval", "runs/star", "--limit", "2"]
    assert main(evaluate) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "task.yaml:" in err
    assert "metrics[2].python: there is no module my_metrics.py" in err
    code = "def is_short(prompt, answer, target):\n    return len(answer) < 9\n"
    Path("my_metrics.py").write_text(code)
    assert main(evaluate) == 0
    results = json.loads(Path("runs/star/results/test-limit=2.json").read_text())
    assert "is_short" in results["scores"]


def test_kinds_of_their_own_are_refused_and_named(hub, tmp_path, monkeypatch, capsys):
    """What their templates render to is their code, even if it is what was pushed."""
    shutil.copytree(EXAMPLE, tmp_path / "theirs")
    monkeypatch.chdir(tmp_path / "theirs")
    monkeypatch.setenv("XLMGEN_PINNED", "")
    assert main(["new", "comb.yaml"]) == 0
    Path("small.yaml").write_text(TASK, "utf-8")
    text = EXPERIMENT.replace("mdlm", "comb").replace("max_steps: 4", "max_steps: 1")
    Path("small-comb.yaml").write_text(text, "utf-8")
    assert main(["train", "small-comb.yaml", "--run-dir", "run"]) == 0
    assert main(["push", "run", "me/comb"]) == 0
    card = hub.repos["me/comb"].files()["README.md"].content.decode()
    assert "kinds of its own (`predictor: spaced`)" in card
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path / "mine")
    capsys.readouterr()
    err = refused(capsys, "me/comb")
    schema = "schemas/kinds/predictor/spaced.schema.json"
    template = "templates/family/predictor/spaced.py.jinja"
    assert f"what code runs: {schema}, {template}; if you have" in err
    assert said(capsys, "me/comb", "--trust-code")[0] == 0
    assert main(["eval", "runs/comb", "--limit", "2"]) == 0


def test_what_is_not_code_is_rendered_again(run, pushed, hub, capsys):
    for path in ("families/mdlm/family.lock", "families/mdlm/README.md"):
        hub.edit("me/star", path, lambda text: text + b"more")
    hub.edit("me/star", "families/other/__init__.py", lambda _: b"x = 1\n")
    assert said(capsys, "me/star")[0] == 0
    for name in ("family.lock", "README.md"):
        own = run / "families" / "mdlm" / name
        assert Path("runs/star/families/mdlm", name).read_bytes() == own.read_bytes()
    assert [p.name for p in Path("runs/star/families").iterdir()] == ["mdlm"]


def test_other_files_are_not_even_read(run, pushed, hub, capsys):
    pickles = ("state.pt", "pytorch_model.bin", "checkpoints/step=1/state.pt", "x.pkl")
    others = ("other.safetensors", "notes.yaml", "tests/test_x.py")
    for path in (*pickles, *others, "families/mdlm/\x1b[2J.py"):
        hub.edit("me/star", path, lambda _: b"no")
    assert said(capsys, "me/star")[0] == 0
    read = {path.partition("/main/")[2] for _, path in hub.requests}
    assert not any(
        name in path for path in read for name in (*pickles, "other", "notes")
    )
    held = {path.name for path in Path("runs/star").rglob("*")}
    assert not held & {"state.pt", "x.pkl", "other.safetensors", "notes.yaml"}


@pytest.mark.parametrize(
    "path", ["model.safetensors", LOSS, "xlmgen.json", "task.yaml"]
)
def test_a_file_that_arrives_damaged_is_found(path, run, pushed, hub, capsys):
    hub.damaged.add(path)
    err = refused(capsys, "me/star")
    assert f"checksum mismatch of {path} in commit" in err
    hub.damaged.clear()
    assert said(capsys, "me/star")[0] == 0


HEARS_CTRL_C = """\
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from xlmgen.cli import main
sys.exit(main())
"""
"""A command, also where the tests themselves run in the background and ignore it."""


@pytest.mark.slow
def test_a_download_that_is_stopped_leaves_nothing(run, pushed, hub, capsys):
    command = [sys.executable, "-c", HEARS_CTRL_C, "pull", "me/star"]
    before = sorted(Path().rglob("*"))
    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGKILL):
        hub.stalled.add("model.safetensors")
        hub.half_sent.clear()
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert hub.half_sent.wait(60)
        process.send_signal(signum)
        _, err = process.communicate(timeout=60)
        if signum is signal.SIGKILL:
            break
        assert process.returncode == 130
        assert err == "interrupted\n"
        assert sorted(Path().rglob("*")) == before
    assert not Path("runs/star").exists()  # nobody could tidy up
    hub.stalled.clear()
    hub.released.set()
    hub.requests.clear()
    assert said(capsys, "me/star")[0] == 0
    assert os.listdir("runs") == ["star"]
    # what had come whole was not asked for again
    assert not any(path.endswith(LOSS) for _, path in hub.requests)


def test_a_folder_that_is_there_is_not_touched(run, pushed, capsys):
    before = {p: p.read_bytes() for p in run.rglob("*") if p.is_file()}
    assert "error: run exists; add the path of a" in refused(capsys, "me/star", "run")
    assert {p: p.read_bytes() for p in run.rglob("*") if p.is_file()} == before
    Path("mine").mkdir()
    Path("mine/notes").write_text("mine")
    for there in ("mine", "mine/notes"):
        assert f"error: {there} exists; " in refused(capsys, "me/star", there)
    assert Path("mine/notes").read_text() == "mine"
    Path("empty").mkdir()
    assert said(capsys, "me/star", "empty")[0] == 0
    assert Path("empty/experiment.yaml").is_file()


@pytest.mark.parametrize(
    ("words", "token", "message"),
    [
        (["me/star"], READER, None),
        (["me/star"], "", None),
        (["me/satr"], WRITER, "there is no repository me/satr that you may read"),
        (["me/satr"], "", "there is no repository me/satr that you may read"),
        (["me/mine"], "", "for a private repository use a token with access"),
        (["me/mine"], READER, "for a private repository use a token with access"),
        (["me/gate"], READER, "gives access on request only; request access at http"),
        (["me/star"], "hf_mistyped", "the Hub does not accept your token"),
        (["me/star", "--revision", "v9"], WRITER, "no branch, tag or commit 'v9'; cho"),
        (["me/bert"], WRITER, "holds no run of xlmgen: it has no xlmgen.json"),
        (["star"], WRITER, "write it as USER/NAME"),
    ],
)
def test_refusals_say_what_to_do(
    words, token, message, run, pushed, hub, capsys, monkeypatch
):
    hub.add("me/mine", private=True)
    hub.add("me/gate", {"xlmgen.json": b"{}"}, gated=True)
    hub.add("me/bert", {"config.json": b"{}"})
    monkeypatch.setenv("HF_TOKEN", token)
    if message is None:  # reading what is public needs no rights
        assert said(capsys, *words)[0] == 0
    else:
        assert message in refused(capsys, *words)


def test_without_a_network(run, hub, capsys, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert "cannot reach http://127.0.0.1:9: " in refused(capsys, "me/star")


def test_two_pulls_into_one_folder(run, pushed, capsys, monkeypatch):
    monkeypatch.setattr(locks, "WAIT", 0.05)
    Path("runs/.star.pull").mkdir(parents=True)
    with locks.locked(Path("runs/.star.pull")):
        err = refused(capsys, "me/star")
    assert "another xlmgen is writing to " in err
    assert said(capsys, "me/star")[0] == 0
    assert os.listdir("runs") == ["star"]


def test_a_hub_that_fails_on_the_way(run, pushed, hub, capsys):
    hub.refused["/tokenizer.json"] = 418
    assert "the Hub answers 418: " in refused(capsys, "me/star")


def manifest(**changes):
    return lambda text: json.dumps(json.loads(text) | changes).encode()


def yaml_file(change):
    def edit(text):
        data = yaml.safe_load(text)
        change(data)
        return yaml.safe_dump(data).encode()

    return edit


@pytest.mark.parametrize(
    ("path", "change", "message"),
    [
        ("xlmgen.json", manifest(spec="xlmgen/hub/v2"), "pip install --upgrade xlmgen"),
        ("xlmgen.json", manifest(weights=["../../x.safetensors"]), "is damaged"),
        ("xlmgen.json", manifest(weights=["state.pt"]), "is damaged"),
        ("xlmgen.json", manifest(weights=[]), "is damaged"),
        ("xlmgen.json", manifest(family="../mdlm"), "is damaged"),
        ("xlmgen.json", manifest(step="4"), "is damaged"),
        ("xlmgen.json", manifest(weights=["model.safetensors"] * 2), "is damaged"),
        ("xlmgen.json", manifest(extra=1), "is damaged"),
        ("xlmgen.json", manifest(xlmgen="\x1b[2J"), "is damaged"),
        ("xlmgen.json", lambda _: b"[]", "xlmgen.json does not hold a JSON object"),
        ("xlmgen.json", lambda _: b"\xff", "xlmgen.json is not valid UTF-8"),
        ("xlmgen.json", manifest(family="arlm"), "lacks families/arlm/family.yaml"),
        ("model.safetensors", lambda _: None, "lacks model.safetensors"),
        ("model.safetensors", lambda _: b"no weights", "not a safetensors file"),
        ("tokenizer.json", lambda _: None, "lacks tokenizer.json"),
        ("versions.json", lambda _: b"\xff", "versions.json is not valid UTF-8"),
        ("versions.json", lambda _: b"{", "versions.json is not JSON (line 1"),
        ("versions.json", lambda _: b"[]", "versions.json does not hold a JSON object"),
        (
            "families/mdlm/family.yaml",
            lambda text: text.replace(b"kind: masking", b"kind: newer"),
            "cannot read its family.yaml",
        ),
        (
            "families/mdlm/family.yaml",
            lambda text: text.replace(b"name: mdlm", b"name: other"),
            "the family in families/mdlm/ is named other",
        ),
        (
            "experiment.yaml",
            yaml_file(lambda data: data["training"].update(newer=1)),
            "experiment.yaml: ",
        ),
        (
            "experiment.yaml",
            yaml_file(lambda data: data.update(size="huge")),
            "has no size 'huge'",
        ),
        (
            "experiment.yaml",
            yaml_file(lambda data: data.update(task="/etc/task.yaml")),
            "names files outside of its folder: '/etc/task.yaml'",
        ),
        (
            "experiment.yaml",
            yaml_file(lambda data: data.update(family="mdlm")),
            "names files outside of its folder: 'mdlm'",
        ),
        (
            "task.yaml",
            yaml_file(lambda data: data.update(source={"files": {"train": "/etc/*"}})),
            "names files outside of its folder: '/etc/*'",
        ),
        (
            "task.yaml",
            yaml_file(lambda data: data.update(layout="newer")),
            "task.yaml: ",
        ),
    ],
)
def test_a_repository_that_is_no_sound_run(
    path, change, message, run, pushed, hub, capsys
):
    hub.edit("me/star", path, change)
    assert message in refused(capsys, "me/star")


def test_a_family_under_another_name(run, pushed, hub, capsys):
    """Its code is what its YAML renders to; it would take another family's place."""
    for path, content in pushed.texts().items():
        if path.startswith("families/mdlm/"):
            hub.edit(
                "me/star", path.replace("/mdlm/", "/arlm/"), lambda _, c=content: c
            )
            hub.edit("me/star", path, lambda _: None)
    hub.edit("me/star", "xlmgen.json", manifest(family="arlm"))
    family = yaml_file(lambda data: data.update(family="./families/arlm"))
    hub.edit("me/star", "experiment.yaml", family)
    err = refused(capsys, "me/star")
    assert "the family in families/arlm/ is named mdlm" in err


TEXT_TASK = """\
spec: xlmgen/task/v1
name: mine
layout: lm
max_length: {length: 32}
source: {files: {train: "here/*.txt"}, unit: line}
tokenizer: {kind: byte}
"""


def test_local_files_are_said_to_be_missing_and_then_found(run, hub, capsys):
    """The task of the run is made another: what the network is does not matter."""
    from xlmgen.data.task import load_task

    Path("here").mkdir()
    Path("here/a.txt").write_text("abc\nabd\nabe\nabf\n" * 9)
    Path("mine.yaml").write_text(TEXT_TASK)
    load_task("mine.yaml").save(run)
    assert main(["push", "run", "me/text"]) == 0
    card = hub.repos["me/text"].files()["README.md"].content.decode()
    assert "* `runs/text/data/train/*.txt`" in card
    assert str(Path.cwd()) not in card
    capsys.readouterr()
    code, out, _ = said(capsys, "me/text")
    assert code == 0
    assert "  runs/text/data/train/*.txt\n" in out
    assert '--prompt "…"' in out
    task = load_task("runs/text/task.yaml", tokenizer=Path("runs/text/tokenizer.json"))
    with pytest.raises(Exception, match=r"no file matches .*runs/text/data/train"):
        task.examples("train")
    Path("runs/text/data/train").mkdir(parents=True)
    Path("here/a.txt").rename("runs/text/data/train/a.txt")
    again = load_task("runs/text/task.yaml", tokenizer=Path("runs/text/tokenizer.json"))
    assert len(again.examples("train"))

    outside = yaml_file(lambda d: d["source"]["files"].update(train="../../x.txt"))
    hub.edit("me/text", "task.yaml", outside)
    err = refused(capsys, "me/text", "two")
    assert "names files outside of its folder: '../../x.txt'" in err
