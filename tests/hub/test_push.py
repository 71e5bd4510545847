"""`xlmgen push`: what goes up, what does not, and how a repository changes."""

import json
import re
import sys
from pathlib import Path

import pytest
import yaml
from huggingface_hub import ModelCard
from transformers import AutoTokenizer

from xlmgen.cli import main
from xlmgen.data.auto_tokenizer import tokenizer_settings
from xlmgen.hub import published
from xlmgen.hub.published import (
    datasets,
    local_files,
    portable_task,
    portable_versions,
)
from xlmgen.io.manifest import write_manifest
from xlmgen.runs.checkpoint_folder import about
from xlmgen.runs.run import Run, run_id

from .standin import READER, WRITER

FAMILY = (
    "README.md",
    "__init__.py",
    "collator_mdlm.py",
    "family.lock",
    "family.yaml",
    "loss_mdlm.py",
    "metrics_mdlm.py",
    "model_mdlm.py",
    "predictor_mdlm.py",
    "types_mdlm.py",
)
FILES = {
    "README.md",
    "experiment.yaml",
    "model.safetensors",
    "task.yaml",
    "tokenizer.json",
    "tokenizer_config.json",
    "versions.json",
    "xlmgen.json",
    *(f"families/mdlm/{name}" for name in FAMILY),
}


def said(capsys, *words):
    code = main(["push", *words])
    out, err = capsys.readouterr()
    return code, out, err


def test_what_is_listed_goes_up_in_one_commit_and_nothing_else(run, hub, capsys):
    (run / "families" / "mdlm" / "notes.txt").write_text("mine")
    (run / "notes.yaml").write_text("mine: 1")
    code, out, _ = said(capsys, "run", "me/star", "--dry-run")
    assert code == 0
    assert hub.requests == []
    listed = re.findall(r"^ +([\d.]+ k?M?B)  (\S+)$", out, re.MULTILINE)
    assert {path for _, path in listed} == FILES
    assert f"{len(FILES)} files, " in out

    code, out, _ = said(capsys, "run", "me/star")
    assert code == 0
    repo = hub.repos["me/star"]
    assert set(repo.files()) == FILES | {".gitattributes"}
    assert repo.messages == ["initial commit", "Step 4 with xlmgen push"]
    assert f"{hub.endpoint}/me/star/tree/{repo.branches['main']}" in out
    sizes = {path: size for size, path in listed}
    task = len(repo.files()["task.yaml"].content)
    assert sizes["task.yaml"] == f"{task} B"


def test_files_are_those_of_the_run_but_for_its_folders(run, pushed):
    files = pushed.files()
    same = ["tokenizer.json", *(f"families/mdlm/{name}" for name in FAMILY)]
    for path in same:
        assert files[path].content == (run / path).read_bytes()
    weights = run / "checkpoints" / "step=000004" / "model.safetensors"
    assert files["model.safetensors"].content == weights.read_bytes()
    assert files["model.safetensors"].large

    experiment = yaml.safe_load(files["experiment.yaml"].content)
    own = yaml.safe_load((run / "experiment.yaml").read_text())
    assert own["task"].startswith("/")
    places = {"family": "./families/mdlm", "task": "./task.yaml"}
    assert experiment == {**own, **places}
    command = json.loads(files["versions.json"].content)["command"]
    assert command == ["xlmgen", *sys.argv[1:]] or "/" not in "".join(command)


def test_transformers_loads_the_tokenizer_of_a_repository(run, pushed, tmp_path):
    folder = tmp_path / "repository"
    folder.mkdir()
    for path, file in pushed.files().items():
        if "/" not in path:
            (folder / path).write_bytes(file.content)
    loaded = AutoTokenizer.from_pretrained(folder)
    tokenizer = Run.open(run).load_task().tokenizer
    assert loaded("3 8 9")["input_ids"] == tokenizer.encode("3 8 9")
    assert loaded.mask_token_id == tokenizer.special.mask


def test_tokenizer_that_transformers_would_change_is_not_pushed(
    run, hub, monkeypatch, capsys
):
    def wrong(tokenizer):
        return {**tokenizer_settings(tokenizer), "mask_token": "<other>"}

    monkeypatch.setattr(published, "tokenizer_settings", wrong)
    code, _, err = said(capsys, "run", "me/star")
    assert code == 2
    assert "it adds '<other>'" in err
    assert hub.requests == []


def test_no_folder_of_this_machine_is_named(run, hub, trained, capsys):
    versions = json.loads((run / "versions.json").read_text())
    words = ["train", str(trained / "x.yaml"), f"task={trained}/t.yaml", "../up/y.yaml"]
    again = {"command": ["xlmgen", "train", "~/secret/z.yaml", "training.seed=1"]}
    versions |= {"command": ["xlmgen", *words], "continued": [again]}
    (run / "versions.json").write_text(json.dumps(versions))
    assert said(capsys, str(run), "me/star")[0] == 0
    files = hub.repos["me/star"].texts()
    for path, content in files.items():
        for folder in (trained.parent, run.parent, Path.home() / "secret", Path.cwd()):
            assert str(folder).encode() not in content, path
    published = json.loads(files["versions.json"])
    assert published["command"] == [
        "xlmgen",
        "train",
        "x.yaml",
        "task=t.yaml",
        "y.yaml",
    ]
    assert published["continued"][0]["command"] == [
        "xlmgen",
        "train",
        "z.yaml",
        "training.seed=1",
    ]
    assert published["torch"] == versions["torch"]
    kept = {"platform": "a/b =/", "n": 1, "none": None}
    assert json.loads(portable_versions(kept)) == kept


@pytest.mark.parametrize(
    ("paths", "published"),
    [
        ("/home/me/data/*.txt", "data/train/*.txt"),
        ("/home/me/data/**/part-?/a.txt", "data/train/**/part-?/a.txt"),
        ("/home/me[[]1]/x/*.txt", "data/train/*.txt"),
        (
            ["/home/me/a.txt", "/home/me/b.txt"],
            ["data/train/a.txt", "data/train/b.txt"],
        ),
        (
            ["/home/me/a.txt", "/mnt/x/a.txt"],
            ["data/train/1/a.txt", "data/train/2/a.txt"],
        ),
        ("data/train/*.txt", "data/train/*.txt"),
        (["data/train/1/a", "data/train/2/a"], ["data/train/1/a", "data/train/2/a"]),
    ],
)
def test_local_files_of_a_task_lie_beside_it(paths, published):
    document = {
        "name": "mine",
        "source": {
            "files": {"train": paths, "test": "/home/me/data/*.txt"},
            "unit": "line",
        },
        "tokenizer": {"kind": "file", "path": "/home/me/tokenizer.json"},
    }
    portable = portable_task(document)
    assert portable["source"]["files"] == {
        "train": published,
        "test": "data/test/*.txt",
    }
    assert portable["source"]["unit"] == "line"
    assert portable["tokenizer"] == {"kind": "file", "path": "tokenizer.json"}
    assert document["tokenizer"]["path"].startswith("/")


@pytest.mark.parametrize(
    ("path", "published", "on_hub"),
    [
        ("me/graphs", "me/graphs", ["me/graphs"]),
        ("wikitext", "wikitext", ["wikitext"]),
        ("/home/me/graphs", "./data/graphs", []),
        ("./data/graphs", "./data/graphs", []),
    ],
)
def test_a_data_set_keeps_its_name_and_not_its_folder(path, published, on_hub):
    source = {"hub": {"path": path, "name": None}}
    portable = portable_task({"source": source, "tokenizer": {"kind": "byte"}})
    assert portable["source"] == {"hub": {"path": published, "name": None}}
    assert datasets(portable) == on_hub
    assert local_files(portable) == ([] if on_hub else [published])


def test_the_card_says_what_the_run_is(run, hub, capsys):
    options = ("--license", "mit", "--dataset", "me/graphs", "--checkpoint", "2")
    assert said(capsys, "run", "me/star", *options)[0] == 0
    text = hub.repos["me/star"].files()["README.md"].content.decode()
    card = ModelCard(text)
    assert card.data.library_name == "xlmgen"
    assert card.data.license == "mit"
    assert card.data.datasets == ["me/graphs"]
    assert card.data.tags == ["xlmgen", "mdlm", "small"]
    # the results of this checkpoint, and not those of the other
    results = json.loads((run / "results" / "test-checkpoint=2.json").read_text())
    values = {r.metric_type: r.metric_value for r in card.data.eval_results}
    assert values["loss"] == results["loss"]["loss"]
    assert values["token_accuracy"] == results["scores"]["token_accuracy"]
    assert {r.dataset_split for r in card.data.eval_results} == {"test"}
    assert len(card.data.eval_results) == len(values)
    other = json.loads((run / "results" / "test-checkpoint=4.json").read_text())
    assert other["loss"]["loss"] != results["loss"]["loss"]
    row = f"| `test-checkpoint=2` | 13 | loss | {results['loss']['loss']:.4f} |"
    assert row in text
    assert "Masked diffusion language model" in text
    assert "(https://arxiv.org/abs/2406.07524)" in text
    assert "| steps | 2 |" in text
    for command in ("pull me/star", "generate runs/star --num 4", "eval runs/star"):
        assert f"xlmgen {command}" in text


def test_a_card_shows_samples_beside_the_data(run, hub, capsys):
    header = "| evaluation | rows | metric | value | ± |"
    _, out, _ = said(capsys, "run", "me/star", "--dry-run")
    assert f"{header}\n" in out
    file = run / "results" / "test-checkpoint=4.json"
    results = json.loads(file.read_text())
    results |= {"samples": {"length_mean": 7.5}, "data": {"length_mean": 8.0}}
    file.write_text(json.dumps(results))
    _, out, _ = said(capsys, "run", "me/star", "--dry-run")
    assert f"{header} data |\n|---|---|---|---|---|---|\n" in out
    assert "| 13 | length_mean | 7.5000 |  | 8.0000 |\n" in out
    card = ModelCard(out[out.index("---") :])
    values = {r.metric_type: r.metric_value for r in card.data.eval_results}
    assert values["length_mean"] == 7.5


def test_a_card_without_results_and_options(run, hub, capsys):
    for file in (run / "results").iterdir():
        file.unlink()
    _, out, _ = said(capsys, "run", "me/star", "--dry-run", "--revision", "v2")
    card = ModelCard(out[out.index("---") :])
    assert card.data.license is None
    assert card.data.eval_results is None
    assert "Results" not in card.text
    assert "xlmgen pull me/star --revision v2" in card.text


@pytest.mark.parametrize(
    ("path", "content", "message"),
    [
        ("versions.json", b"{", "versions.json"),
        ("results/test.json", b"[]", "results/test.json does not hold a JSON object"),
        ("families/mdlm/loss_mdlm.py", b"\xff", "loss_mdlm.py is not valid UTF-8"),
        (
            "checkpoints/step=000004/model.safetensors",
            b"x",
            "model.safetensors has 1 bytes",
        ),
    ],
)
def test_a_run_that_is_damaged(path, content, message, run, hub, capsys):
    (run / path).write_bytes(content)
    code, _, err = said(capsys, "run", "me/star", "--checkpoint", "4")
    assert code == 2
    assert err.startswith("error: ")
    assert message in err
    assert hub.requests == []


def test_what_somebody_put_beside_the_results_is_passed_over(run, hub, capsys):
    (run / "results" / "mine.json").write_text('{"step": 4, "loss": {"loss": 1}}')
    code, out, _ = said(capsys, "run", "me/star", "--dry-run", "--checkpoint", "4")
    assert code == 0
    assert "test-checkpoint=4" in out
    assert "mine" not in out


def test_the_average_goes_up_in_place_of_the_weights(run, hub, capsys):
    place = run / "checkpoints" / "step=000004"
    other = (run / "checkpoints" / "step=000002" / "model.safetensors").read_bytes()
    (place / "ema.safetensors").write_bytes(other)
    (place / "manifest.json").unlink()
    write_manifest(place, about(run_id(run), 4))
    assert said(capsys, "run", "me/star", "--checkpoint", "4")[0] == 0
    files = hub.repos["me/star"].files()
    assert set(files) == FILES | {".gitattributes"}
    assert files["model.safetensors"].content == other


def test_a_dry_run_uses_no_library_of_the_hub(run, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert said(capsys, "run", "me/star", "--dry-run")[0] == 0


def test_the_same_again_is_no_new_commit(pushed, capsys):
    commits = dict(pushed.commits)
    assert said(capsys, "run", "me/star", "--checkpoint", "4")[0] == 0
    assert pushed.commits == commits


def test_another_run_takes_the_place_of_the_last(pushed, hub, capsys):
    hub.edit("me/star", "families/mdlm/old.py", lambda _: b"x = 1\n")
    hub.edit("me/star", "model-00001-of-00002.safetensors", lambda _: b"old")
    hub.edit("me/star", "notes.md", lambda _: b"mine")
    hub.edit("me/star", "schemas/notes.json", lambda _: b"mine")
    code, out, _ = said(capsys, "run", "me/star", "--checkpoint", "2")
    assert code == 0
    assert "README.md" not in out
    mine = {"notes.md", "schemas/notes.json", ".gitattributes"}
    assert set(pushed.files()) == FILES | mine
    assert b"| steps | 2 |" in pushed.files()["README.md"].content
    assert json.loads(pushed.files()["xlmgen.json"].content)["step"] == 2


def test_of_python_that_the_task_names_the_name_travels(run, hub, capsys):
    Path("my_metrics.py").write_text("def is_short(*row):\n    return True\n")
    text = (run / "task.yaml").read_text("utf-8")
    named = "- token_accuracy\n- python: my_metrics:is_short\n"
    (run / "task.yaml").write_text(text.replace("- token_accuracy\n", named), "utf-8")
    assert main(["push", "run", "me/star"]) == 0
    texts = hub.repos["me/star"].texts()
    assert (
        "not in this repository\n(`my_metrics:is_short`)" in texts["README.md"].decode()
    )
    assert b"python: my_metrics:is_short" in texts["task.yaml"]
    assert not any("my_metrics" in path for path in texts)


def test_a_card_that_was_edited_on_the_hub_stays(pushed, hub, capsys):
    hub.edit("me/star", "README.md", lambda text: text + b"\nMine.\n")
    for step in ("2", "4"):  # also by the second push after the edit
        code, out, _ = said(capsys, "run", "me/star", "--checkpoint", step)
        assert code == 0
        assert "README.md was edited on the Hub" in out
        assert pushed.files()["README.md"].content.endswith(b"\nMine.\n")
        assert json.loads(pushed.files()["xlmgen.json"].content)["step"] == int(step)


def test_a_card_that_somebody_began_stays(run, hub, capsys):
    repo = hub.add("me/star", {"README.md": b"---\nlicense: mit\n---\n"})
    for _ in range(2):
        code, out, _ = said(capsys, "run", "me/star")
        assert (code, "was not replaced" in out) == (0, True)
        assert repo.files()["README.md"].content == b"---\nlicense: mit\n---\n"
    assert "model.safetensors" in repo.files()


def test_what_xlmgen_did_not_push_is_not_overwritten(run, hub, capsys):
    repo = hub.add("me/bert", {"tokenizer.json": b"{}", "config.json": b"{}"})
    code, _, err = said(capsys, "run", "me/bert")
    assert code == 2
    assert "did not push (tokenizer.json)" in err
    assert len(repo.commits) == 1
    assert hub.uploads == {}


def test_a_branch_of_its_own(pushed, hub, capsys):
    main_before = pushed.files()
    words = ("--checkpoint", "2", "--revision", "half/way", "--message", "earlier")
    assert said(capsys, "run", "me/star", *words)[0] == 0
    assert pushed.files() == main_before
    assert pushed.messages[-1] == "earlier"
    manifest = json.loads(pushed.files("half/way")["xlmgen.json"].content)
    assert manifest["step"] == 2


def test_what_was_changed_meanwhile_is_not_overwritten(pushed, hub, capsys):
    # as soon as what it holds was asked
    hub.meanwhile["/resolve/"] = lambda: hub.edit("me/star", "x.md", lambda _: b"x")
    code, _, err = said(capsys, "run", "me/star", "--checkpoint", "2")
    assert code == 2
    assert "me/star was changed during the push, and nothing was written to" in err
    assert json.loads(pushed.files()["xlmgen.json"].content)["step"] == 4
    assert said(capsys, "run", "me/star", "--checkpoint", "2")[0] == 0
    assert {"x.md", "xlmgen.json"} <= set(pushed.files())


def test_private_is_private_or_nothing_goes_up(run, hub, capsys):
    assert said(capsys, "run", "me/mine", "--private")[0] == 0
    assert hub.repos["me/mine"].private
    assert said(capsys, "run", "me/mine", "--private")[0] == 0
    hub.uploads.clear()
    public = hub.add("me/open")
    code, _, err = said(capsys, "run", "me/open", "--private")
    assert code == 2
    assert "exists and is public; nothing was uploaded" in err
    assert (len(public.commits), hub.uploads) == (1, {})


@pytest.mark.parametrize("part", ["/storage/", "/commit/"])
def test_an_upload_that_breaks_off_leaves_nothing_half(part, run, hub, capsys):
    repo = hub.add("me/star")
    hub.refused[part] = 400
    code, _, err = said(capsys, "run", "me/star")
    assert code == 2
    assert err.startswith("error: ")
    assert "the Hub answers 400" in err
    assert (len(repo.commits), set(repo.files())) == (1, {".gitattributes"})
    hub.refused.clear()
    assert said(capsys, "run", "me/star")[0] == 0
    assert set(repo.files()) == FILES | {".gitattributes"}


@pytest.mark.parametrize(
    ("repo_id", "token", "message"),
    [
        (
            "star",
            WRITER,
            "'star' is not the name of a repository; write it as USER/NAME",
        ),
        ("me/a b", WRITER, "not the name of a repository"),
        ("me/../you", WRITER, "not the name of a repository"),
        ("https://huggingface.co/me/star", WRITER, "did you mean me/star?"),
        ("me/star", "", "`hf auth login`"),
        ("me/star", "hf_mistyped", "the Hub does not accept your token"),
        (
            "me/star",
            READER,
            "your token has no permission to do this to me/star; use a token with the",
        ),
        ("you/star", WRITER, "your token has no permission to do this to you/star"),
    ],
)
def test_refusals_say_what_to_do(
    repo_id, token, message, run, hub, capsys, monkeypatch
):
    monkeypatch.setenv("HF_TOKEN", token)
    code, _, err = said(capsys, "run", repo_id)
    assert code == 2
    assert err.count("\n") == 1
    assert message in err
    assert hub.repos == {}


def test_a_licence_that_the_hub_does_not_know(run, hub, capsys):
    code, _, err = said(capsys, "run", "me/star", "--license", "MTI")
    assert code == 2
    assert err.count("\n") == 1
    assert "\"license\" must be one of ['mit']; nothing was uploaded" in err
    assert set(hub.repos["me/star"].files()) == {".gitattributes"}


def test_without_a_network(run, hub, capsys, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    code, _, err = said(capsys, "run", "me/star")
    assert code == 2
    assert err.count("\n") == 1
    assert "cannot reach http://127.0.0.1:9: " in err
    assert "check the network" in err
