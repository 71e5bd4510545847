"""Generation contexts have the same layout as training rows."""

import pytest

from xlmgen.data.datamodule import DataModule
from xlmgen.data.task import load_task
from xlmgen.registry import load_family
from xlmgen.runtime.collate.layout import lm_layout, masked_prompt_layout, prompt_layout
from xlmgen.runtime.special_tokens import MaxLength, SpecialTokens

TOKENS = SpecialTokens(vocab_size=10)
PAD, BOS, EOS, MASK = 0, 1, 2, 3
WHOLE, PARTS = MaxLength(answer=6), MaxLength(answer=3, prompt=4)


def rows(layout):
    return layout.ids.tolist()


@pytest.mark.parametrize("examples", [[{"prompt": [5, 6]}, {"prompt": [7]}], [{}, {}]])
def test_causal_prompt_begins_like_training_row(examples):
    """`[BOS] prompt`: generated tokens continue the prompt."""
    found = prompt_layout(examples, TOKENS, WHOLE, bos=True)
    for row, attended, example in zip(
        rows(found), found.attended, examples, strict=True
    ):
        begun = [token for token, real in zip(row, attended, strict=True) if real]
        whole = {"tokens": [*example.get("prompt", []), 8, 9]}
        (trained,) = rows(
            lm_layout(
                [whole], TOKENS, WHOLE, bos=True, eos=True, pad_to_max_length=False
            )
        )
        assert begun == trained[: len(begun)]
        assert row[-len(begun) :] == begun


@pytest.mark.parametrize("bos", [True, False])
def test_masked_sequence_begins_with_its_prompt(bos):
    examples = [{"prompt": [5, 6]}, {}]
    found = masked_prompt_layout(examples, TOKENS, WHOLE, bos=bos)
    start = [BOS] if bos else []
    assert rows(found) == [
        [*start, 5, 6] + [MASK] * (4 - bos),
        start + [MASK] * (6 - bos),
    ]
    assert found.target_mask.equal(found.ids == MASK)


def test_packed_row_begins_with_bos_in_every_family():
    found = masked_prompt_layout(
        [{"packed": True}, {"packed": True, "prompt": [5]}], TOKENS, WHOLE, bos=False
    )
    assert rows(found) == [[BOS] + [MASK] * 5, [BOS, 5] + [MASK] * 4]


def test_bos_separates_prompt_and_answer():
    examples = [{"prompt": [5, 6]}, {"prompt": [7]}]
    assert rows(prompt_layout(examples, TOKENS, PARTS, bos=True)) == [
        [5, 6, BOS],
        [PAD, 7, BOS],
    ]
    assert rows(masked_prompt_layout(examples, TOKENS, PARTS, bos=True)) == [
        [5, 6, BOS, MASK, MASK, MASK],
        [7, BOS, MASK, MASK, MASK, PAD],
    ]


@pytest.mark.parametrize(("packing", "begins"), [("packed", BOS), ("none", MASK)])
def test_packed_task_generates_from_row_start(tmp_path, monkeypatch, packing, begins):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.txt").write_text("\n".join("a b c d" for _ in range(3)) + "\nb\nc\n")
    (tmp_path / "t.yaml").write_text(
        "spec: xlmgen/task/v1\nname: t\nlayout: lm\nmax_length: {length: 6}\n"
        "source: {files: {train: a.txt, validation: a.txt, test: a.txt}}\n"
        f"tokenizer: {{kind: whitespace}}\npacking: {packing}\n"
    )
    task = load_task("t.yaml")
    data = DataModule(
        task, load_family("mdlm"), batch_size=2, eval_batch_size=2, seed=0
    )
    batch, _ = next(iter(data.predict_dataloader()))
    assert set(batch["input_ids"][:, 0].tolist()) == {begins}
    prompt = masked_prompt_layout(
        [task.encode_prompt("b c")], task.tokenizer.special, task.max_length, bos=False
    )
    opened = [BOS] if packing == "packed" else []
    assert prompt.ids[0].tolist()[: len(opened) + 2] == [
        *opened,
        *task.tokenizer.encode("b c", "b c"),
    ]
