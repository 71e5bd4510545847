"""`xlmgen import`: an identical network, or a refusal with all reasons."""

import json
import shutil
import struct
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import Qwen2Config, Qwen2ForCausalLM

from xlmgen.cli import main
from xlmgen.errors import UserError
from xlmgen.io.shards import Shards
from xlmgen.registry import load_family
from xlmgen.runs.build import build
from xlmgen.runs.run import Run

from .conftest import END, MASK, backend, rewrite


def imported(folder, *words):
    assert main(["import", str(folder), "--run-dir", "run", *words]) == 0
    return Run.open("run")


def network(run):
    parts = build(run)
    parts.load(run.checkpoint()[1])
    return parts.model.cpu()


def refused(folder, capsys, *words):
    """Error message of a checkpoint that is refused."""
    capsys.readouterr()
    assert main(["import", str(folder), "--run-dir", "run", *words]) == 2
    assert not Path("run").exists()
    said = capsys.readouterr()
    assert not said.out
    return said.err


def rewritten(folder, **tensors):
    """Write all weights to one file, with changes; None removes a tensor."""
    weights = {}
    for file in sorted(folder.glob("*.safetensors")):
        weights |= load_file(file)
        file.unlink()
    (folder / "model.safetensors.index.json").unlink(missing_ok=True)
    for name, tensor in tensors.items():
        weights[name.replace("__", ".")] = tensor
    kept = {name: tensor for name, tensor in weights.items() if tensor is not None}
    save_file(kept, folder / "model.safetensors")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XLMGEN_PINNED", "")


@pytest.mark.parametrize("shard", ["20KB", "1GB"])
def test_logits_equal_transformers(make_checkpoint, shard):
    """With forced causal attention; position i − 1 predicts position i."""
    folder, released = make_checkpoint(shard=shard)
    model = network(imported(folder))
    for layer in model.model.layers:
        layer.self_attn.causal = True
    ids = torch.randint(0, 256, (3, 17), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        ours, theirs = model.head(model(ids)), released(ids).logits
    assert theirs.std() > 0.1
    torch.testing.assert_close(ours[:, 1:], theirs[:, :-1], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(ours[:, 0], theirs[:, 0], rtol=1e-5, atol=1e-5)


def test_causal_family_equals_qwen2(make_checkpoint, causal_family):
    """With a tied head that the checkpoint omits, with a cache, and with pads."""
    folder, released = make_checkpoint(tie_word_embeddings=True)
    experiment = str(causal_family / "experiments" / "text.yaml")
    run = imported(folder, "--experiment", experiment)
    model = network(run)
    assert model.lm_head.weight is model.model.embed_tokens.weight
    ids = torch.randint(0, 256, (2, 9), generator=torch.Generator().manual_seed(0))
    attended = torch.ones_like(ids, dtype=torch.bool)
    attended[0, :3] = False  # pads on the left
    with torch.no_grad():
        whole = released(ids).logits
        padded = released(ids, attention_mask=attended.long()).logits
        cache = model.new_cache(2, 9)
        cached = torch.cat(
            [model(ids[:, :5], cache=cache), model(ids[:, 5:], cache=cache)], 1
        )
        cached = model.head(cached)
        close = {"rtol": 1e-5, "atol": 1e-5}
        torch.testing.assert_close(model.head(model(ids)), whole, **close)
        torch.testing.assert_close(cached, whole, **close)
        torch.testing.assert_close(
            model.head(model(ids, attended))[attended], padded[attended], **close
        )


def test_greedy_answers_equal_transformers(make_checkpoint, causal_family):
    folder, released = make_checkpoint(tie_word_embeddings=True)
    experiment = str(causal_family / "experiments" / "text.yaml")
    run = imported(folder, "--experiment", experiment)
    parts = build(run, predictor={"temperature": 0.0, "max_new_tokens": 12})
    parts.load(run.checkpoint()[1])
    model = parts.model.cpu()
    prompt = torch.tensor([[72, 101, 108], [5, 6, 7]])
    batch = {"input_ids": prompt, "attention_mask": None, "max_new_tokens": 12}
    answers = parts.predictor.generate(model, batch).answers(END)
    banned = [[MASK], [258]]  # MASK and CLS are never generated
    theirs = released.generate(
        prompt,
        attention_mask=torch.ones_like(prompt),
        max_new_tokens=12,
        do_sample=False,
        bad_words_ids=banned,
    )
    for ours, row in zip(answers, theirs[:, 3:].tolist(), strict=True):
        expected = row[: row.index(END)] if END in row else row
        assert ours == expected
        assert ours


def test_every_tensor_is_imported_in_its_place(make_checkpoint):
    folder, released = make_checkpoint()
    weights = network(imported(folder)).state_dict()
    expected = released.state_dict()
    assert weights.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(weights[name], tensor), name


def test_dream_7b_has_released_shapes():
    config = Qwen2Config(
        vocab_size=152064,
        hidden_size=3584,
        intermediate_size=18944,
        num_hidden_layers=28,
        num_attention_heads=28,
        num_key_value_heads=4,
    )
    family = load_family("dream")
    with torch.device("meta"):
        released = Qwen2ForCausalLM(config).state_dict()
        ours = family.model(152064, **family.sizes["dream_7b"]).state_dict()
    shapes = {name: tensor.shape for name, tensor in released.items()}
    assert {name: tensor.shape for name, tensor in ours.items()} == shapes


def test_half_precision_is_converted(make_checkpoint):
    folder, released = make_checkpoint(dtype=torch.bfloat16)
    weights = network(imported(folder)).state_dict()
    for name, tensor in released.state_dict().items():
        assert weights[name].dtype == torch.float32
        assert torch.equal(weights[name], tensor.float()), name


def test_tokenizer_and_special_tokens_equal_checkpoint(make_checkpoint):
    folder, _ = make_checkpoint()
    tokenizer = imported(folder).load_task().tokenizer
    special = tokenizer.special
    assert (special.pad, special.bos, special.eos, special.mask) == (
        END,
        END,
        END,
        MASK,
    )
    assert special.cls == 258  # added behind the last token, in a spare row
    assert special.vocab_size == 300
    text = "Größe: 1 + 1 = 2\n"
    assert tokenizer.encode(text) == backend().encode(text).ids
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_special_token_names_replace_missing_ids(make_checkpoint):
    folder, _ = make_checkpoint()
    rewrite(folder / "config.json", mask_token_id=None, pad_token_id=None)
    settings = {"mask_token": {"content": "<|mask|>"}}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    special = imported(folder).load_task().tokenizer.special
    assert (special.mask, special.pad) == (MASK, END)


def test_vocabulary_and_merges_files_are_read(make_checkpoint):
    folder, _ = make_checkpoint()
    backend().model.save(str(folder))
    (folder / "tokenizer.json").unlink()
    added = {
        str(END): {"content": "<|endoftext|>", "special": True},
        str(MASK): {"content": "<|mask|>", "special": True},
    }
    settings = {"added_tokens_decoder": added}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    tokenizer = imported(folder).load_task().tokenizer
    assert (tokenizer.special.eos, tokenizer.special.mask) == (END, MASK)
    assert tokenizer.decode(tokenizer.encode(" it's 12 é")) == " it's 12 é"


def test_imported_run_generates_and_trains(make_checkpoint, tmp_path, capsys):
    folder, _ = make_checkpoint()
    (tmp_path / "data").mkdir()
    text = "\n\n".join(f"one two {n}." for n in range(400))
    (tmp_path / "data" / "a.txt").write_text(text)
    small = ["training.max_steps=2", "training.batch_size=2", "evaluation.generate=0"]
    before = network(imported(folder, *small)).state_dict()
    command = ["generate", "run", "--prompt", "one", "predictor.steps=2"]
    assert main(command) == 0
    assert "one" in capsys.readouterr().out
    assert main(["eval", "run", "--limit", "2"]) == 0
    assert "step 0" in capsys.readouterr().out
    assert main(["train", "run/experiment.yaml", "--run-dir", "run"]) == 0
    run = Run.open("run")
    assert run.checkpoint("last")[0] == 2
    after = network(run).state_dict()
    moved = max(float((after[name] - before[name]).abs().max()) for name in before)
    assert 0 < moved < 0.01  # it began with the checkpoint's weights


def test_tied_head_needs_family_with_tied_head(make_checkpoint, capsys):
    folder, _ = make_checkpoint(tie_word_embeddings=True)
    said = refused(folder, capsys)
    assert "tie_head is true in" in said
    assert "set tie_head: true under `model:`" in said


def test_all_differences_of_names_and_shapes_are_listed(make_checkpoint, capsys):
    folder, _ = make_checkpoint()
    rewritten(
        folder,
        model__norm__weight=None,
        model__extra__weight=torch.zeros(2),
        lm_head__weight=torch.zeros(300, 31),
    )
    said = refused(folder, capsys)
    assert "missing model.norm.weight" in said
    assert "unexpected model.extra.weight" in said
    assert "lm_head.weight has shape [300, 31], not [300, 32]" in said


def test_truncated_shard_is_refused(make_checkpoint, capsys):
    folder, _ = make_checkpoint()
    file = sorted(folder.glob("*.safetensors"))[1]
    file.write_bytes(file.read_bytes()[:-1])
    assert f"{file}: it is truncated" in refused(folder, capsys)
    file.write_bytes(struct.pack("<Q", 10**9))
    assert f"{file}: it is not a safetensors file" in refused(folder, capsys)
    file.unlink()
    assert f"{file}: No such file" in refused(folder, capsys)


@pytest.mark.parametrize(
    "change",
    [
        {"data_offsets": [-4, 4]},
        {"data_offsets": [4, 12]},
        {"data_offsets": [0]},
        {"shape": [3]},
        {"shape": None},
    ],
)
def test_invalid_header_is_refused(tmp_path, change):
    entry = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
    for header in ({"a": entry}, {"a": entry | change}):
        text = json.dumps(header).encode()
        file = tmp_path / "model.safetensors"
        file.write_bytes(struct.pack("<Q", len(text)) + text + bytes(8))
        if header["a"] is entry:
            assert Shards.open(tmp_path).entries["a"].shape == (2,)
    with pytest.raises(UserError, match="its header is damaged at a"):
        Shards.open(tmp_path)


@pytest.mark.parametrize(
    "header",
    [
        b"[1]",
        b"[" * 200_000,
        b'{"a":' * 200_000,
        b'{"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 1e999]}}',
        b'{"a": {"dtype": "F32", "shape": [2.0], "data_offsets": [0, 8]}}',
        b'{"a": {"dtype": "F32", "shape": [true, 2], "data_offsets": [0, 8]}}',
        b'{"a": {"dtype": ["F32"], "shape": [2], "data_offsets": [0, 8]}}',
        b'{"a": {"dtype": "F32", "shape": [2], "data_offsets": [8, 0]}}',
        b'{"\\ud800": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}',
        b"\xff",
        b" ",
    ],
)
def test_header_with_wrong_types_is_refused_with_its_file(tmp_path, header):
    file = tmp_path / "model.safetensors"
    file.write_bytes(struct.pack("<Q", len(header)) + header + bytes(8))
    with pytest.raises(UserError, match=r"model\.safetensors: it") as raised:
        Shards.open(tmp_path)
    assert len(raised.value.message) < 300 + len(str(file))


@pytest.mark.parametrize("name", ["model.safetensors.index.json", "config.json"])
@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "[" * 200_000, '{"weight_map": {"a": 1}}', '{"a": 1e999}']
)
def test_index_and_config_with_wrong_types_are_refused(
    make_checkpoint, capsys, name, text
):
    folder, _ = make_checkpoint()
    (folder / name).write_text(text)
    said = refused(folder, capsys)
    assert said.startswith(f"error: {folder / name} ")
    assert len(said.splitlines()) == 1
    assert len(said) < 600


@pytest.mark.parametrize("name", ["tokenizer_config.json", "tokenizer.json"])
def test_tokenizer_files_with_wrong_types_are_refused(make_checkpoint, capsys, name):
    folder, _ = make_checkpoint()
    for text in ("", "[]", "[" * 200_000):
        (folder / name).write_text(text)
        said = refused(folder, capsys)
        assert f"{folder / name} " in said
        assert len(said.splitlines()) == 1


@pytest.mark.parametrize("id_", [-1, 300, 2**40, True])
def test_special_id_outside_vocabulary_is_ignored(make_checkpoint, id_):
    folder, _ = make_checkpoint()
    rewrite(folder / "config.json", pad_token_id=id_)
    special = imported(folder).load_task().tokenizer.special
    assert special.pad == END  # EOS, as where none is named


@pytest.mark.parametrize(
    ("key", "number", "said"),
    [
        ("hidden_size", 2**60, "1152921504606846976 is out of range"),
        ("num_hidden_layers", 10**12, "1000000000000 is out of range"),
        ("hidden_size", 2**16, "model.norm.weight has shape [32], not [65536]"),
        ("intermediate_size", 2**20, "has shape [48, 32], not [1048576, 32]"),
        ("vocab_size", 2**40, "has shape [300, 32], not [1099511627776, 32]"),
        ("vocab_size", 2**62, "no network has such numbers"),
    ],
)
def test_impossible_sizes_are_refused(make_checkpoint, capsys, key, number, said):
    folder, _ = make_checkpoint()
    rewrite(folder / "config.json", **{key: number})
    assert said in refused(folder, capsys)


def test_index_that_differs_from_files_is_refused(make_checkpoint, capsys):
    folder, _ = make_checkpoint()
    path = folder / "model.safetensors.index.json"
    index = json.loads(path.read_text())
    index["weight_map"]["model.norm.weight"] = "../elsewhere.safetensors"
    path.write_text(json.dumps(index))
    assert "is not the name of a file in its folder" in refused(folder, capsys)
    del index["weight_map"]["model.norm.weight"]
    path.write_text(json.dumps(index))
    assert "differ in model.norm.weight" in refused(folder, capsys)
    path.unlink()
    imported(folder)


def test_pickles_are_not_read(make_checkpoint, capsys):
    folder, _ = make_checkpoint()
    for file in folder.glob("*.safetensors*"):
        file.unlink()
    torch.save({}, folder / "pytorch_model.bin")
    assert "pytorch_model.bin, which is a pickle" in refused(folder, capsys)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model_type": "llama"}, "no family reads a checkpoint of model_type 'llama'"),
        ({"rms_norm_eps": 1e-5}, "norm_eps is 1e-05 in"),
        ({"hidden_act": "gelu"}, 'hidden_act is "gelu", not "silu"'),
        ({"use_sliding_window": True}, "use_sliding_window is true, not false"),
        ({"head_dim": 16}, "head_dim is 16, not hidden_size / num_attention_heads"),
        ({"rope_parameters": {"rope_type": "yarn"}}, "positions are scaled (yarn)"),
        ({"rope_parameters": {"rope_theta": 1e4}}, "rope_theta is 10000.0 in"),
        ({"hidden_size": None}, "has no hidden_size"),
        ({"hidden_size": "32"}, "hidden_size: '32' is not of type 'integer'"),
        ({"rope_parameters": [1]}, "rope_parameters: [1] is not of type"),
        ({"mask_token_id": None, "vocab_size": 258}, "there are 259 tokens"),
    ],
)
def test_unsupported_network_is_refused(make_checkpoint, capsys, change, said):
    folder, _ = make_checkpoint()
    rewrite(folder / "config.json", **change)
    if change.get("vocab_size"):
        cut = torch.zeros(258, 32)
        rewritten(folder, model__embed_tokens__weight=cut, lm_head__weight=cut.clone())
    assert said in refused(folder, capsys)


def test_existing_run_is_not_overwritten(make_checkpoint, capsys):
    folder, _ = make_checkpoint()
    imported(folder)
    assert main(["import", str(folder), "--run-dir", "run"]) == 2
    assert "run already has a run" in capsys.readouterr().err


def test_failed_import_leaves_no_folder(tmp_path, capsys):
    assert "there is no folder" in refused(tmp_path / "missing", capsys)
    assert "config.json" in refused(tmp_path, capsys)
    shutil.rmtree(tmp_path / "run", ignore_errors=True)
    assert not list(tmp_path.glob(".run*"))
