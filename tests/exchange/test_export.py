"""`xlmgen export`: an imported checkpoint is exported byte by byte."""

import json

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, Qwen2ForCausalLM

from xlmgen.cli import main
from xlmgen.io.shards import INDEX, Shards, write_shards


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XLMGEN_PINNED", "")


def stored(folder):
    """Bytes, dtype and shape of every tensor."""
    found = {}
    for name, entry in Shards.open(folder).entries.items():
        content = entry.file.read_bytes()[entry.start : entry.start + entry.nbytes]
        found[name] = entry.dtype, entry.shape, content
    return found


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("size", ["1KB", "25KB", "1GB"])
def test_round_trip_is_identical(make_checkpoint, dtype, size):
    folder, _ = make_checkpoint(dtype=dtype)
    assert main(["import", str(folder), "--run-dir", "run"]) == 0
    assert main(["export", "run", "out", "--shard-size", size]) == 0
    out = folder.parent / "out"
    assert stored(out) == stored(folder)
    for name in ("config.json", "tokenizer.json"):
        assert json.loads((out / name).read_text()) == json.loads(
            (folder / name).read_text()
        )


def test_shards_are_within_the_size_limit(make_checkpoint, tmp_path):
    folder, _ = make_checkpoint()
    main(["import", str(folder), "--run-dir", "run"])
    main(["export", "run", "out", "--shard-size", "25KB"])
    files = sorted((tmp_path / "out").glob("*.safetensors"))
    assert len(files) > 1
    for file in files:
        tensors = load_file(file)
        total = sum(t.numel() * t.element_size() for t in tensors.values())
        assert total <= 25_000 or len(tensors) == 1


def test_transformers_loads_exported_run(make_checkpoint, tmp_path):
    folder, released = make_checkpoint()
    main(["import", str(folder), "--run-dir", "run"])
    main(["export", "run", "out", "--shard-size", "25KB"])
    loaded = Qwen2ForCausalLM.from_pretrained(tmp_path / "out").eval()
    ids = torch.arange(20)[None]
    with torch.no_grad():
        assert torch.equal(loaded(ids).logits, released(ids).logits)


def test_trained_run_is_loaded_by_transformers(tmp_path, capsys):
    """Its configuration comes from the sizes of the family."""
    experiment = {
        "spec": "xlmgen/experiment/v1",
        "family": "dream",
        "task": "star_tiny",
        "size": "tiny",
        "model": {"layers": 1, "d_model": 16, "num_heads": 2},
        "training": {"max_steps": 1, "batch_size": 2},
        "evaluation": {"generate": 0},
    }
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(experiment))
    assert main(["train", "tiny.yaml", "--run-dir", "run"]) == 0
    assert main(["export", "run", "out"]) == 0
    model, info = Qwen2ForCausalLM.from_pretrained(
        tmp_path / "out", output_loading_info=True
    )
    assert not any(info[key] for key in ("missing_keys", "unexpected_keys"))
    assert model.config.rope_parameters["rope_theta"] == 1_000_000
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert tokenizer.mask_token_id == 3


def test_averaged_weights_are_exported_by_default(tmp_path, capsys):
    experiment = {
        "spec": "xlmgen/experiment/v1",
        "family": "dream",
        "task": "star_tiny",
        "size": "tiny",
        "model": {"layers": 1, "d_model": 16, "num_heads": 2},
        "training": {"max_steps": 2, "batch_size": 2, "ema_decay": 0.9},
        "evaluation": {"generate": 0},
    }
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(experiment))
    assert main(["train", "tiny.yaml", "--run-dir", "run"]) == 0
    checkpoint = tmp_path / "run" / "checkpoints" / "step=000002"
    raw = load_file(checkpoint / "model.safetensors")
    ema = load_file(checkpoint / "ema.safetensors")
    assert any(not torch.equal(raw[name], ema[name]) for name in raw)
    for options, kind in (([], "ema"), (["ema"], "ema"), (["raw"], "raw")):
        capsys.readouterr()
        out = f"out{len(options)}{kind}"
        asked = [word for option in options for word in ("--weights", option)]
        assert main(["export", "run", out, *asked]) == 0
        assert capsys.readouterr().out == f"{out}\nstep 2, {kind} weights\n"
        written = load_file(tmp_path / out / "model.safetensors")
        expected = {"raw": raw, "ema": ema}[kind]
        assert written.keys() == expected.keys()
        assert all(torch.equal(written[name], expected[name]) for name in raw)
    content = bytearray((checkpoint / "ema.safetensors").read_bytes())
    content[-1] ^= 1
    (checkpoint / "ema.safetensors").write_bytes(content)
    assert main(["export", "run", "other"]) == 2
    assert "step=000002 is damaged: checksum mismatch of ema" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()


def test_export_errors_are_reported(make_checkpoint, tmp_path, capsys):
    folder, _ = make_checkpoint()
    main(["import", str(folder), "--run-dir", "run"])
    (tmp_path / "out").mkdir()
    for words, said in (
        (["out"], "out exists"),
        (["new", "--shard-size", "0GB"], "--shard-size is '0GB'"),
        (["new", "--shard-size", "much"], "--shard-size is 'much'"),
        (["new", "--checkpoint", "7"], "has no checkpoint '7'"),
    ):
        capsys.readouterr()
        assert main(["export", "run", *words]) == 2
        assert said in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_family_without_released_form_is_refused(tmp_path, capsys):
    experiment = {
        "spec": "xlmgen/experiment/v1",
        "family": "mdlm",
        "task": "star_tiny",
        "size": "tiny",
        "model": {"layers": 1, "d_model": 16, "num_heads": 2},
        "training": {"max_steps": 1, "batch_size": 2},
        "evaluation": {"generate": 0},
    }
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(experiment))
    assert main(["train", "tiny.yaml", "--run-dir", "run"]) == 0
    assert main(["export", "run", "out"]) == 2
    assert "the model transformer of the family mdlm" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("limit", "files"),
    [
        (24, [["c"], ["a", "b", "d"]]),
        (20, [["c"], ["a", "b"], ["d"]]),
        (999, [["a", "b", "c", "d"]]),
    ],
)
def test_tensors_are_split_by_size_and_a_larger_one_stands_alone(
    tmp_path, limit, files
):
    sizes = {"a": 3, "b": 2, "c": 10, "d": 1}  # of four bytes
    tensors = {name: torch.rand(size) for name, size in sizes.items()}
    for folder in ("before", "after"):
        (tmp_path / folder).mkdir()
    save_file(tensors, tmp_path / "before" / "model.safetensors")
    write_shards(tmp_path / "after", Shards.open(tmp_path / "before"), limit)
    written = sorted((tmp_path / "after").glob("*.safetensors"))
    assert [sorted(load_file(file)) for file in written] == files
    assert (tmp_path / "after" / INDEX).is_file() == (len(files) > 1)
    found = Shards.open(tmp_path / "after")  # checked against the index
    assert {n: e.shape for n, e in found.entries.items()} == {
        n: (size,) for n, size in sizes.items()
    }
    for file in written:
        for name, tensor in load_file(file).items():
            assert torch.equal(tensor, tensors[name])
