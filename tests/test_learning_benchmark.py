"""The benchmark of learning: its queue, its report, and what it gives to a peer."""

import importlib.util
import json
import math
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.learn import curves, hardware, report  # noqa: E402
from benchmarks.learn.decoding import (  # noqa: E402
    arguments,
    one_token_per_pass,
    result_name,
)
from benchmarks.learn.export import export  # noqa: E402
from benchmarks.learn.fit import Fit, Peer, answer_of  # noqa: E402
from benchmarks.learn.jobs import (  # noqa: E402
    PEER_FAMILIES,
    Plan,
    installed_torch,
    keep_experiment,
    learning_job,
)
from benchmarks.learn.rows import Pairs, Rows  # noqa: E402
from benchmarks.learn.runs import Run, find, read_rows  # noqa: E402
from benchmarks.learn.table import cells  # noqa: E402
from benchmarks.learn.target import Target  # noqa: E402
from xlmgen.data.task import load_task  # noqa: E402
from xlmgen.errors import UserError  # noqa: E402
from xlmgen.evaluation.predictor_options import predictor_options  # noqa: E402
from xlmgen.evaluation.request import EvaluationRequest  # noqa: E402
from xlmgen.experiment import resolve  # noqa: E402
from xlmgen.registry import load_family  # noqa: E402
from xlmgen.runs.build import data_module  # noqa: E402

TARGET = Target("val/exact_match", 0.95)
MACHINE = {"cpu": "A", "vector": ["avx2"], "threads": 1, "torch": "2.13.0"}
METRICS = """\
step,train/loss,train/lr,val/loss,val/exact_match
50,2.0,0.001,,
100,1.5,0.001,1.25,0.07
150,1.4,0.001,,
200,1.0,0.0,0.75,0.96
"""
THROUGHPUT = """\
step,speed/steps_per_s
50,5
100,10
150,10
200,25
"""


def load(path, name, monkeypatch):
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def learning(monkeypatch):
    path = ROOT / "benchmarks" / "learning.py"
    return load(path, "learning_benchmark", monkeypatch)


def make_run(folder, steps=200, metrics=METRICS, machines=(MACHINE,), **results):
    """A run folder with as little as the report reads."""
    (folder / "results").mkdir(parents=True)
    (folder / "metrics.csv").write_text(metrics)
    (folder / "throughput.csv").write_text(THROUGHPUT)
    settings = {"training": {"max_steps": steps}, "predictor": {}}
    (folder / "experiment.yaml").write_text(yaml.safe_dump(settings))
    task = {"layout": "seq2seq", "max_length": {"answer": 5}}
    (folder / "task.yaml").write_text(yaml.safe_dump(task))
    family = folder / "families" / folder.name.split("-")[0]
    family.mkdir(parents=True)
    predictor = {"kind": "unmasking", "steps": 128}
    (family / "family.yaml").write_text(yaml.safe_dump({"predictor": predictor}))
    for name, (score, error) in results.items():
        found = {"scores": {"exact_match": score}, "scores_error": {}}
        found["scores_error"]["exact_match"] = error
        file = {"test": "test", "single": "test-first_hitting=True"}[name]
        (folder / "results" / f"{file}.json").write_text(json.dumps(found))
    for machine in machines:
        hardware.record(Run.named(folder).hardware, machine)
    return Run.named(folder)


# Targets and run folders


def test_target_of_a_score_rises_and_of_a_loss_falls():
    assert TARGET.is_reached(0.95)
    assert not TARGET.is_reached(0.94)
    loss = Target.parse("val/loss=1.9")
    assert loss.is_reached(1.9)
    assert not loss.is_reached(2.0)
    assert not loss.is_reached(math.nan)
    assert not TARGET.is_reached(math.nan)
    assert (str(loss), str(TARGET)) == ("val/loss ≤ 1.9", "val/exact_match ≥ 0.95")


@pytest.mark.parametrize("text", ["val/loss", "exact_match=1", "val/loss=much"])
def test_target_of_another_form_is_refused(text):
    with pytest.raises(ValueError, match=r"val/|much"):
        Target.parse(text)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mdlm-0", ("mdlm", 0, "")),
        ("xlm-core-mdlm-12", ("mdlm", 12, "xlm-core")),
        ("gpt2-arlm-1", ("arlm", 1, "gpt2")),
    ],
)
def test_run_is_known_by_the_name_of_its_folder(tmp_path, name, expected):
    run = Run.named(tmp_path / name)
    assert (run.family, run.seed, run.peer) == expected
    assert Run.at(tmp_path, *expected) == run


def test_seconds_to_a_step_are_those_of_training(tmp_path):
    run = make_run(tmp_path / "mdlm-0")
    assert run.seconds_to(100) == pytest.approx(50 / 5 + 50 / 10)
    assert run.seconds_to(175) == pytest.approx(10 + 5 + 5 + 25 / 25)
    assert run.seconds_to(250) is None
    assert (run.steps_to(TARGET), run.steps_to(Target("val/loss", 0.8))) == (200, 200)
    assert run.steps_to(Target("val/exact_match", 0.97)) is None


def test_run_that_ended_at_its_target_is_finished(tmp_path):
    run = make_run(tmp_path / "mdlm-0", steps=300)
    assert not run.is_finished
    stop = {"max_steps": 300, "stop_when": {"val/exact_match": 0.95}}
    (run.path / "experiment.yaml").write_text(yaml.safe_dump({"training": stop}))
    assert run.is_finished


def test_row_that_a_kill_cut_short_is_left_out(tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text("step,val/loss\n50,1.0\n100,0.")
    assert read_rows(path) == [{"step": "50", "val/loss": "1.0"}]


def test_hardware_names_a_second_machine_and_not_the_same_twice(tmp_path):
    path = tmp_path / "mdlm-0.hardware.json"
    other = {**MACHINE, "cpu": "B"}
    for machine in (MACHINE, MACHINE, other):
        hardware.record(path, machine)
    assert hardware.recorded(path) == [MACHINE, other]
    found = hardware.hardware(1)
    assert found["cpu"]
    assert found["vector"]
    assert found["torch"] == torch.__version__
    assert hardware.sentence(MACHINE) == "A (avx2), 1 thread, PyTorch 2.13.0"


# Decoding


@pytest.mark.parametrize(
    ("predictor", "expected"),
    [
        ({"kind": "unmasking"}, {"first_hitting": True}),
        ({"kind": "unmasking", "steps": 128}, {"first_hitting": True}),
        ({"kind": "unmasking", "first_hitting": True}, None),
        (
            {"kind": "unmasking", "remask": {"rule": "cap", "eta": 0.1}},
            {"first_hitting": True, "remask": None},
        ),
        ({"kind": "unmasking", "order": "entropy", "steps": 128}, None),
        ({"kind": "unmasking", "order": "entropy", "steps": 8}, {"steps": 14}),
        (
            {"kind": "unmasking", "order": "margin", "steps": None, "threshold": None},
            None,
        ),
        (
            {"kind": "unmasking", "order": "margin", "steps": 14, "decoding_block": 4},
            {"steps": 16},
        ),
        (
            {"kind": "unmasking", "order": "top_prob", "steps": 16, "threshold": 0.9},
            {"threshold": None},
        ),
        ({"kind": "block_unmasking", "first_hitting": True}, None),
        ({"kind": "left_to_right"}, None),
        ({"kind": "insertion"}, None),
        ({"kind": "mask_and_insert", "steps": 128}, None),
    ],
)
def test_options_that_reveal_one_token_per_pass(predictor, expected):
    assert one_token_per_pass(predictor, answer=14) == expected


@pytest.mark.parametrize(
    "options", [{}, {"first_hitting": True, "remask": None}, {"steps": 14}]
)
def test_results_are_looked_for_where_eval_writes_them(options):
    assert result_name(options) == EvaluationRequest(predictor=options).result_name
    assert predictor_options(arguments(options)) == options


def test_table_shows_step_metric_and_time_left(tmp_path):
    run = make_run(tmp_path / "mdlm-0", steps=300)
    job = learning_job(run, 300, [])
    progress = SimpleNamespace(job=job, state="training", is_running=True)
    assert cells(progress, TARGET) == (
        "mdlm-0",
        "training",
        "200 / 300",
        "loss 0.7500  exact_match 96.0 %",
        "200",
        "0:04",
    )


# The plan


def test_version_of_the_peer_s_torch_is_that_of_its_environment(tmp_path):
    packages = tmp_path / "lib" / "python3.11" / "site-packages"
    (packages / "torch-2.13.0+cpu.dist-info").mkdir(parents=True)
    (packages / "torch_ema-0.3.dist-info").mkdir()
    assert installed_torch(tmp_path) == "2.13.0+cpu"


def test_plan_trains_then_evaluates_both_ways(learning, tmp_path):
    asked = ["run", "star_tiny", "--families", "mdlm", "arlm", "--seeds", "1"]
    asked += ["--set", "training.max_steps=7"]
    jobs = plan(learning, tmp_path, asked)
    assert [job.run.path for job in jobs] == [
        tmp_path / "star_tiny" / name for name in ("mdlm-1", "arlm-1")
    ]
    states = [[command.state for command in job.commands] for job in jobs]
    assert states == [
        ["training", "test split", "one token per pass"],
        ["training", "test split"],
    ]
    train, _, second = (command.arguments for command in jobs[0].commands)
    assert train[1:4] == ["-m", "xlmgen", "train"]
    assert {"size=tiny", "training.seed=1", "training.max_steps=7"} <= set(train)
    assert second[-1] == "predictor.first_hitting=true"
    assert [job.steps for job in jobs] == [7, 7]
    assert not any(job.is_done for job in jobs)


def plan(learning, runs, asked):
    taken = []
    learning.run_all = lambda arguments: taken.append(arguments) or 0
    assert learning.main(["--runs", str(runs), *asked]) == 0
    return learning.plan(taken[0])


def test_without_evaluation_there_is_only_training(learning, tmp_path):
    asked = ["run", "star_tiny", "--families", "mdlm", "--seeds", "0", "--no-eval"]
    (job,) = plan(learning, tmp_path, asked)
    assert [command.state for command in job.commands] == ["training"]


def test_gpt2_stands_beside_its_family_only(learning, tmp_path):
    asked = ["run", "star_tiny", "--families", "arlm", "mdlm", "--seeds", "0"]
    jobs = plan(learning, tmp_path, [*asked, "--against", "gpt2"])
    names = [job.run.path.name for job in jobs]
    assert names == ["arlm-0", "mdlm-0", "gpt2-arlm-0"]


def test_wrong_setting_ends_with_its_name_before_anything_runs(
    learning, tmp_path, capsys
):
    asked = ["--runs", str(tmp_path), "run", "star_tiny", "--families", "mdlm"]
    assert learning.main([*asked, "--set", "training.max_step=7"]) == 2
    assert "training.max_step" in capsys.readouterr().err
    assert learning.main(["run", "star_huge"]) == 2
    assert "star_huge.yaml" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_finished_run_of_other_settings_is_not_taken_for_done(tmp_path):
    wanted = Plan("star_tiny", tmp_path, evaluate=False)
    job = wanted.job("mdlm", 0)
    make_run(job.run.path, steps=200)
    experiment = ROOT / "families/mdlm/experiments/star_tiny.yaml"
    given = ["size=tiny", "training.seed=0", "training.max_steps=200"]
    same = resolve(experiment, given)
    keep_experiment_anew(job.run.path, same)
    assert (
        Plan("star_tiny", tmp_path, settings=given, evaluate=False)
        .job("mdlm", 0)
        .is_done
    )
    other = [*given, "training.learning_rate=0.5"]
    job = Plan("star_tiny", tmp_path, settings=other, evaluate=False).job("mdlm", 0)
    assert not job.is_done
    with pytest.raises(UserError, match=r"training\.learning_rate"):
        keep_experiment(job.run.path, resolve(experiment, other))
    keep_experiment(job.run.path, resolve(experiment, [*given, "training.keep=3"]))


def keep_experiment_anew(folder, experiment):
    (folder / "experiment.yaml").unlink()
    keep_experiment(folder, experiment)


# The report


def test_report_holds_means_over_seeds_and_every_run(learning, tmp_path, capsys):
    runs, page = tmp_path / "runs", tmp_path / "page.md"
    task = runs / "star_easy"
    make_run(task / "mdlm-0", test=(0.5, 0.01), single=(0.9, 0.02))
    make_run(task / "mdlm-1", test=(0.7, 0.01), single=(0.8, 0.02))
    make_run(task / "arlm-0", steps=300, test=(0.25, 0.03))
    make_run(task / "xlm-core-mdlm-0", machines=(MACHINE, {**MACHINE, "cpu": "B"}))
    page.write_text("a\n<!-- runs: star_easy -->\nold\n<!-- end -->\nb\n")
    asked = ["--runs", str(runs), "report", "star_easy", "--page", str(page)]
    for _ in range(2):
        assert learning.main([*asked, "--curves", str(tmp_path / "curves")]) == 0
    lines = page.read_text().splitlines()
    assert (lines[0], lines[-1]) == ("a", "b")
    assert "old" not in lines
    by_family = [
        "| arlm | 1 | 1 of 1 | 200 | 22 | 25.0 % (one seed) | – |",
        "| mdlm | 2 | 2 of 2 | 200 ± 0 | 22 ± 0 | 60.0 ± 10.0 % | 85.0 ± 5.0 % |",
        "| mdlm, xlm-core | 1 | 1 of 1 | 200 | 22 | – | – |",
    ]
    by_run = [
        "| arlm | 0 | 200 of 300 | 0.7500 | 96.0 % | 200 | 22 | 25.0 ± 3.0 % | – |",
        "| mdlm | 0 | 200 | 0.7500 | 96.0 % | 200 | 22 | 50.0 ± 1.0 % | 90.0 ± 2.0 % |",
        "| mdlm | 1 | 200 | 0.7500 | 96.0 % | 200 | 22 | 70.0 ± 1.0 % | 80.0 ± 2.0 % |",
        "| mdlm, xlm-core | 0 | 200 | 0.7500 | 96.0 % | 200 | 22 | – | – |",
    ]
    rows = [line for line in lines if line.startswith(("| arlm", "| mdlm"))]
    assert rows == by_family + by_run
    one, two = (line for line in lines if line.startswith("Trained on"))
    assert one == f"Trained on {hardware.sentence(MACHINE)}: arlm 0, mdlm 0, mdlm 1."
    assert "; then B (avx2)" in two
    curve = (tmp_path / "curves" / "star_easy.csv").read_text().splitlines()
    assert curve[0] == "family,peer,seed,step,val/loss,val/exact_match"
    assert "mdlm,xlm-core,0,200,0.75,0.96" in curve
    assert len(curve) == 1 + 4 * 2


def test_family_that_never_reaches_the_target_has_no_steps(tmp_path):
    low = METRICS.replace("0.96", "0.40")
    runs = [make_run(tmp_path / "mdlm-0", metrics=low), make_run(tmp_path / "mdlm-1")]
    line = report.families_table(runs, TARGET, texts=False).splitlines()[-1]
    assert line.startswith("| mdlm | 2 | 1 of 2 | 200 | 22 |")


def test_texts_are_compared_by_bits_and_bounds_are_marked(tmp_path):
    nats = {"arlm-0": {"data_nll": math.log(2)}, "mdlm-0": {"data_nll_bound": 1.0}}
    runs = [make_run(tmp_path / name) for name in nats]
    for run in runs:
        found = {"loss": {"loss": 9.0, **nats[run.path.name]}}
        (run.path / "results" / "test.json").write_text(json.dumps(found))
    assert [report.bits(run) for run in runs] == ["1.0000", "≤ 1.4427"]
    lines = report.families_table(runs, TARGET, texts=True).splitlines()
    assert lines[0].endswith("| bits per token, test |")
    assert [line.split("|")[-2].strip() for line in lines[2:]] == ["1.0000", "≤ 1.4427"]


def test_unigram_entropy_counts_no_special_tokens():
    assert report.entropy([[0, 5, 6], [0, 7, 8]], ignored={0}) == 2.0
    assert report.entropy([[5, 5, 5, 6]]) == pytest.approx(0.811278)


def test_page_has_a_table_for_every_star_task():
    page = (ROOT / "benchmarks" / "LEARNING.md").read_text("utf-8")
    for task in ("star_tiny", "star_easy", "star_medium", "star_hard"):
        assert f"<!-- runs: {task} -->" in page


def test_every_family_has_a_colour_of_its_own(learning):
    colours = curves.colours(learning.FAMILIES)
    assert len(set(colours.values())) == len(learning.FAMILIES) > 1


def test_curves_of_peers_are_dashed(tmp_path):
    pytest.importorskip("matplotlib")
    runs = [make_run(tmp_path / name) for name in ("mdlm-0", "xlm-core-mdlm-0")]
    path = tmp_path / "curves.svg"
    rows = report.curve_rows(runs, TARGET)
    curves.draw(path, "star_easy", rows, TARGET, {"mdlm": "#b5495b"})
    drawn = path.read_text()
    lines = [part for part in drawn.split("<path")[1:] if "stroke: #b5495b" in part]
    assert any("stroke-dasharray" in line for line in lines)
    assert any("stroke-dasharray" not in line for line in lines)


# Rows for a peer


@pytest.fixture
def experiment(project):
    (project / "star.yaml").write_text(
        (project / "toy.yaml").read_text().replace("family: toy", "family: mdlm")
    )
    return resolve("star.yaml", ["training.max_steps=30"])


def test_exported_rows_are_those_of_our_batches(experiment, tmp_path):
    folder = tmp_path / "run"
    export(experiment, folder)
    rows = Rows.load(folder / "rows.npz")
    data = data_module(experiment, load_task(experiment.task), load_family("mdlm"))
    batches, requests = data.training_batches()
    train, special = rows.splits["train"], 5
    for step, request in zip(range(30), requests, strict=False):
        clean = batches[request]["target_ids"].tolist()
        for number, ids in zip(rows.order[step], clean, strict=True):
            pair = [*train.prompt[number], *train.target[number]]
            assert ids[: len(pair)] == [id_ + special for id_ in pair]
    assert rows.order.shape == (30, 8)
    assert [len(rows.splits[s]) for s in ("train", "validation", "test")] == [
        200,
        37,
        41,
    ]
    # the toy experiment warms up for 2 steps to 1e-2 and stays there
    assert rows.learning_rate.tolist() == [0.005, *[0.01] * 29]
    numbers = json.loads((folder / "peer.json").read_text())
    assert (numbers["content_tokens"], numbers["answer"], numbers["d_model"]) == (
        10,
        5,
        128,
    )
    assert max(map(max, train.prompt)) == 9


@pytest.mark.parametrize(
    "setting",
    [
        "training.accumulate=2",
        "training.ema_decay=0.9",
        "training.devices=2",
        "training.optimizer.kind=muon",
    ],
)
def test_setting_that_the_peer_does_not_follow_is_refused(project, tmp_path, setting):
    (project / "star.yaml").write_text((project / "toy.yaml").read_text())
    with pytest.raises(UserError, match=".".join(setting.split("=")[0].split(".")[:2])):
        export(resolve("star.yaml", [setting]), tmp_path / "run")


# Training a peer


def stand_in(numbers):
    """A model that learns to repeat the only token of its prompt."""
    network = torch.nn.Sequential(
        torch.nn.Embedding(4, 8), torch.nn.Dropout(0.2), torch.nn.Linear(8, 4)
    )

    def collate(batch):
        noise = torch.rand(len(batch)) + np.random.rand()  # draws from both
        prompts, targets = (
            torch.tensor([example[part][0] for example in batch])
            for part in ("prompt", "target")
        )
        return prompts, targets, noise

    def loss(batch):
        prompts, targets, noise = batch
        each = torch.nn.functional.cross_entropy(
            network(prompts), targets, reduction="none"
        )
        return (each * noise).mean()

    def answer(batch):
        prompts = torch.tensor([example["prompt"][0] for example in batch])
        return network(prompts).argmax(1)[:, None].tolist()

    groups = [{"params": list(network.parameters())}]
    return Peer(network, groups, collate, loss, answer)


@pytest.fixture
def exported(tmp_path):
    """Makes a folder with rows and numbers for the stand-in."""

    def make(name):
        folder = tmp_path / name
        draw = np.random.default_rng(0)
        tokens = [[[int(id_)] for id_ in draw.integers(0, 4, 40)] for _ in range(3)]
        names = ("train", "validation", "test")
        splits = {n: Pairs(t, t) for n, t in zip(names, tokens, strict=True)}
        order = draw.integers(0, 40, (60, 8))
        Rows(splits, order, np.linspace(0.1, 0.01, 60)).save(folder / "rows.npz")
        numbers = {"max_steps": 60, "weight_decay": 0.01, "betas": [0.9, 0.999]}
        numbers |= {"gradient_clip": 1.0, "precision": "32-true", "seed": 3}
        numbers |= {"log_every": 7, "validate_every": 20, "checkpoint_every": 25}
        numbers |= {"eval_batch_size": 16, "generate": 10}
        (folder / "peer.json").write_text(json.dumps(numbers))
        return folder

    return make


@pytest.fixture
def handlers():
    """Fails if a test leaves other handlers of signals behind."""
    stopping = (signal.SIGINT, signal.SIGTERM)
    earlier = [signal.getsignal(signum) for signum in stopping]
    yield
    assert [signal.getsignal(signum) for signum in stopping] == earlier


@pytest.mark.usefixtures("handlers")
def test_stopped_peer_continues_as_if_it_had_not_been(exported):
    straight, stopped = exported("straight"), exported("stopped")
    assert Fit(straight, stand_in).go() == 0

    def stop_at(fit, step):
        before = fit._step

        def step_and_signal():
            before()
            if fit.state.step == step:
                signal.raise_signal(signal.SIGTERM)

        fit._step = step_and_signal
        return fit

    assert stop_at(Fit(stopped, stand_in), 33).go() == 128 + signal.SIGTERM
    assert int(read_rows(stopped / "metrics.csv")[-1]["step"]) == 28
    assert Fit(stopped, stand_in).go() == 0
    read = [(folder / "metrics.csv").read_text() for folder in (straight, stopped)]
    assert read[0] == read[1]
    first, second = (
        torch.load(folder / "state.pt", weights_only=True)["model"]
        for folder in (straight, stopped)
    )
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name])
    rows = read_rows(straight / "metrics.csv")
    assert [int(r["step"]) for r in rows if "val/loss" in r] == [20, 40, 60]
    rates = {int(r["step"]): float(r["train/lr"]) for r in rows if "train/lr" in r}
    assert rates[7] == pytest.approx(np.linspace(0.1, 0.01, 60)[6])
    assert 60 in rates, "the last step has a row"
    steps = [int(row["step"]) for row in read_rows(straight / "throughput.csv")]
    assert steps == list(rates)


def test_peer_is_scored_by_its_best_weights_on_all_test_rows(exported):
    folder = exported("run")
    Fit(folder, stand_in).go()
    Fit(folder, stand_in).evaluate()
    results = json.loads((folder / "results" / "test.json").read_text())
    assert (results["rows"], results["trained_to"]) == (40, 60)
    assert results["scores"]["exact_match"] == 1.0
    losses = {
        int(row["step"]): float(row["val/loss"])
        for row in read_rows(folder / "metrics.csv")
        if "val/loss" in row
    }
    assert results["step"] == min(losses, key=losses.get)


@pytest.mark.parametrize(
    ("ids", "expected"),
    [([7, 8, 1, 9], [8]), ([7, 8, 9], [8, 9]), ([7, 2, 8], []), ([7], [])],
)
def test_answer_ends_at_eos_or_pad(ids, expected):
    assert answer_of(ids, 1, ends=(1, 2)) == expected


def test_peers_stand_beside_families_that_there_are():
    names = {path.parent.name for path in ROOT.glob("families/*/family.yaml")}
    for families in PEER_FAMILIES.values():
        assert set(families) <= names


# All together


@pytest.mark.slow
def test_two_steps_of_a_family_are_trained_evaluated_and_reported(tmp_path):
    command = [sys.executable, str(ROOT / "benchmarks" / "learning.py")]
    command += ["--runs", str(tmp_path)]
    run = [*command, "run", "star_tiny", "--families", "mdlm", "--seeds", "0", "--set"]
    run += ["training.max_steps=2", "training.log_every=1", "evaluation.generate=4"]
    run += ["training.validate_every=1", "evaluation.bound_samples=1"]
    run += ["predictor.steps=2", "evaluation.batch_size=500"]
    done = subprocess.run(run, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (found,) = find(tmp_path / "star_tiny")
    assert found.is_finished
    assert found.machines[0]["threads"] == 1
    assert report.scores(found) is not None
    assert report.scores_one_by_one(found) is not None
    again = subprocess.run(run, capture_output=True, text=True)
    assert again.returncode == 0
    assert "training" not in again.stdout.split("target")[0], "it was run again"
