"""xlm-core's side: its public classes, unchanged, as its own scripts put them together.

Runs in a virtual environment of its own (`venv.py`), where xlmgen is not installed.
"""

import random
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from benchmarks.speed.shapes import Shape
from benchmarks.speed.side import Generated, Grows, NeverEnds, Side

FAMILIES = ("arlm", "mlm", "ilm", "mdlm", "flexmdm")
SPECIAL = 7
"""Ids that its tokenizer keeps for special tokens."""
CONDITION = 128
"""Width of its embedding of time; ours is as wide."""
NEVER = 2.0
"""A threshold that no probability reaches."""

Generators = dict[str, Callable[[], Generated]]


class _Device:
    """What its losses ask a Lightning module for."""

    device = torch.device("cpu")


class _Kit:
    """What all of its families are made with."""

    def __init__(self, shape: Shape) -> None:
        from xlm.datamodule import SimpleSpaceTokenizer
        from xlm.noise import DummyNoiseSchedule

        self.shape = shape
        self.tokenizer = SimpleSpaceTokenizer.for_numbers(shape.vocab - SPECIAL)
        self.no_noise = DummyNoiseSchedule()
        self.network = {
            "num_embeddings": self.tokenizer.full_vocab_size,
            "d_model": shape.d_model,
            "num_layers": shape.layers,
            "nhead": shape.num_heads,
            "padding_idx": self.tokenizer.pad_token_id,
            "dim_feedforward": 4 * shape.d_model,
            "dropout": shape.dropout,
            "activation": "relu",
            "rotary_emb_dim": shape.d_model // shape.num_heads,
            "max_length": max(shape.length, shape.prompt + shape.new) + 4,
        }
        self.prompt = torch.randint(SPECIAL, shape.vocab, (shape.rows, shape.prompt))

    def examples(self, content: int, number: int) -> list[Any]:
        draw = random.Random(0)
        ids = range(SPECIAL, self.shape.vocab)
        return [{"input_ids": draw.choices(ids, k=content)} for _ in range(number)]

    def batch(self) -> dict[str, Tensor]:
        seen = torch.ones_like(self.prompt, dtype=torch.bool)
        return {"input_ids": self.prompt.clone(), "attention_mask": seen}


def build(name: str, shape: Shape) -> Side:
    """One of its families at a shape."""
    torch.manual_seed(0)
    random.seed(0)
    kit = _Kit(shape)
    parts = {
        "arlm": _arlm,
        "mlm": _mlm,
        "ilm": _ilm,
        "mdlm": _mdlm,
        "flexmdm": _flexmdm,
    }
    model, loss, collate, content, generators = parts[name](kit)
    loss.configure(_Device())
    decayed = [parameter for _, parameter in model.get_named_params_for_weight_decay()]
    others = [p for _, p in model.get_named_params_for_no_weight_decay()]
    return Side(
        model=model,
        examples=partial(kit.examples, content),
        collate=collate,
        loss=lambda batch: loss(batch)["loss"],
        groups=[{"params": decayed}, {"params": others, "weight_decay": 0.0}],
        generators=generators,
    )


def _arlm(kit: _Kit) -> tuple[Any, Any, Any, int, Generators]:
    from arlm.datamodule_arlm import DefaultARLMCollator
    from arlm.loss_arlm import ARLMLoss
    from arlm.model_arlm import RotaryTransformerARLMModel
    from arlm.predictor_arlm import ARLMPredictor

    shape, tokenizer = kit.shape, kit.tokenizer
    model = RotaryTransformerARLMModel(**kit.network)
    predictor = ARLMPredictor(
        max_steps=shape.new,
        max_length=shape.prompt + shape.new,
        tokenizer=tokenizer,
        sampling_method="sample",
        model=NeverEnds(model, tokenizer.eos_token_id),
    )

    def generate() -> Generated:
        ids = predictor.predict(kit.batch())["ids"][:, shape.prompt :]
        return Generated(int((ids != tokenizer.pad_token_id).sum()), shape.new)

    return (
        model,
        ARLMLoss(model=model, tokenizer=tokenizer),
        DefaultARLMCollator(tokenizer, shape.length, kit.no_noise),
        shape.length - 1,
        {"": generate},
    )


def _mlm(kit: _Kit) -> tuple[Any, Any, Any, int, Generators]:
    from mlm.datamodule_mlm import DefaultMLMCollator
    from mlm.loss_mlm import MLMLoss
    from mlm.model_mlm import RotaryTransformerMLMModel
    from mlm.predictor_mlm import MLMPredictor

    shape, tokenizer = kit.shape, kit.tokenizer
    model = RotaryTransformerMLMModel(mask_idx=tokenizer.mask_token_id, **kit.network)

    def generate(predictor: Any) -> Generated:
        output = predictor.predict(kit.batch())
        ids = output["ids"][:, shape.prompt :]
        made = int((ids != tokenizer.mask_token_id).sum())
        return Generated(made, max(output["steps_taken"]) + 1)

    return (
        model,
        MLMLoss(loss_on_padding=True, model=model, tokenizer=tokenizer),
        DefaultMLMCollator(
            tokenizer,
            shape.length,
            kit.no_noise,
            loss_on_padding=True,
            truncate="block",
            add_bos=False,
            add_eos=True,
        ),
        shape.length - 1,
        {
            f"{steps} steps": partial(
                generate,
                MLMPredictor(
                    max_steps=steps,
                    max_new_tokens=shape.new,
                    tokenizer=tokenizer,
                    model=model,
                ),
            )
            for steps in shape.steps
        },
    )


def _mdlm(kit: _Kit) -> tuple[Any, Any, Any, int, Generators]:
    from mdlm.datamodule_mdlm import DefaultMDLMCollator
    from mdlm.loss_mdlm import MDLMLoss
    from mdlm.model_mdlm import MDLMModel
    from mdlm.noise_mdlm import ContinuousTimeLogLinearSchedule
    from mdlm.predictor_mdlm import MDLMPredictor

    shape, tokenizer = kit.shape, kit.tokenizer
    schedule = ContinuousTimeLogLinearSchedule(sigma_min=0.0, sigma_max=10.0)
    model = MDLMModel(mask_idx=tokenizer.mask_token_id, d_cond=CONDITION, **kit.network)
    passes = _count_passes(model)

    def generate(predictor: Any) -> Generated:
        before = passes()
        ids = predictor.predict(kit.batch())["ids"][:, shape.prompt :]
        made = int((ids != tokenizer.mask_token_id).sum())
        return Generated(made, passes() - before)

    return (
        model,
        MDLMLoss(loss_on_padding=True, model=model, tokenizer=tokenizer),
        DefaultMDLMCollator(
            tokenizer,
            shape.length,
            schedule,
            loss_on_padding=True,
            truncate="block",
            add_bos=False,
            add_eos=True,
        ),
        shape.length - 1,
        {
            f"{steps} steps": partial(
                generate,
                MDLMPredictor(
                    max_steps=steps,
                    max_new_tokens=shape.new,
                    tokenizer=tokenizer,
                    model=model,
                    noise_schedule=schedule,
                    # Only with both of them does it draw from a distribution at all.
                    top_k=2,
                    top_p=0.9,
                ),
            )
            for steps in shape.steps
        },
    )


def _ilm(kit: _Kit) -> tuple[Any, Any, Any, int, Generators]:
    from ilm.datamodule_ilm import DefaultILMCollator
    from ilm.loss_ilm import ILMLossWithMaskedCE
    from ilm.model_ilm import RotaryTransformerILMModelWithStoppingClassification
    from ilm.predictor_ilm import ILMPredictorWithStoppingClassification

    shape, tokenizer = kit.shape, kit.tokenizer
    model = RotaryTransformerILMModelWithStoppingClassification(
        mask_idx=tokenizer.mask_token_id, **kit.network
    )
    passes = _count_passes(model)
    predictor = ILMPredictorWithStoppingClassification(
        max_steps=shape.new,
        max_length=shape.prompt + shape.new + 2,
        stopping_threshold=NEVER,
        tokenizer=tokenizer,
        noise_schedule=kit.no_noise,
        sampling_method="sample",
        model=model,
    )
    column = torch.ones(shape.rows, 1, dtype=torch.long)
    opening = (column * tokenizer.cls_token_id, column * tokenizer.bos_token_id)
    ids = torch.cat((*opening, kit.prompt), dim=1)
    fixed = torch.ones_like(ids, dtype=torch.bool)
    fixed[:, -1] = False  # it may insert behind the prompt
    types = torch.ones_like(ids)
    types[:, 0] = 0

    def generate() -> Generated:
        before = passes()
        output = predictor.predict(
            {
                "input_ids": ids.clone(),
                "attention_mask": torch.ones_like(ids, dtype=torch.bool),
                "token_type_ids": types.clone(),
                "constraint": fixed.clone(),
                "cls_position": torch.zeros(shape.rows, dtype=torch.long),
            }
        )
        whole = int((output["ids"] != tokenizer.pad_token_id).sum())
        return Generated(whole - ids.numel(), passes() - before)

    return (
        model,
        ILMLossWithMaskedCE(length_loss="binary_ce", model=model, tokenizer=tokenizer),
        DefaultILMCollator(tokenizer, shape.length, kit.no_noise),
        shape.length - 2,
        {"": generate},
    )


def _flexmdm(kit: _Kit) -> tuple[Any, Any, Any, int, Generators]:
    from flexmdm.datamodule_flexmdm import FlexMDMPredCollator, FlexMDMTrainCollator
    from flexmdm.loss_flexmdm import FlexMDMLoss
    from flexmdm.model_flexmdm import FlexMDMModel
    from flexmdm.noise_flexmdm import FlexMDMNoiseSchedule, LinearSchedule
    from flexmdm.predictor_flexmdm import FlexMDMPredictor

    shape, tokenizer = kit.shape, kit.tokenizer
    schedule = FlexMDMNoiseSchedule(LinearSchedule(), LinearSchedule())
    total = shape.prompt + shape.new
    model = FlexMDMModel(
        mask_idx=tokenizer.mask_token_id,
        d_cond=CONDITION,
        len_predict_type="expectation",
        len_head_type="mlp",
        **{**kit.network, "max_length": max(shape.length, total)},
    )
    opening = FlexMDMPredCollator(tokenizer, block_size=total)
    passes = _count_passes(model)
    pad = tokenizer.pad_token_id
    # A row opens with EOS, before which it grows. Untrained, its network says PAD to
    # everything, and the predictor takes that for the end of the row.
    growing = Grows(NeverEnds(model, pad), 1 + shape.new, pad, closed=0)

    def generate(predictor: Any) -> Generated:
        before = passes()
        batch = opening([{"input_ids": []} for _ in range(shape.rows)])
        ids = predictor.predict(batch)["ids"]
        made = int((ids != pad).sum()) - shape.rows
        return Generated(made, passes() - before)

    return (
        model,
        FlexMDMLoss(
            loss_on_padding=True,
            noise_schedule=schedule,
            model=model,
            tokenizer=tokenizer,
            insert_loss_fn="expectation",
        ),
        FlexMDMTrainCollator(tokenizer, shape.length),
        shape.length - 1,
        {
            f"{steps} steps": partial(
                generate,
                FlexMDMPredictor(
                    max_steps=steps,
                    tokenizer=tokenizer,
                    model=growing,
                    noise_schedule=schedule,
                    len_predict_type="expectation",
                    top_k=1,
                ),
            )
            for steps in shape.steps
        },
    )


def _count_passes(model: torch.nn.Module) -> Callable[[], int]:
    """A function that says how often the network has run."""
    calls = [0]

    def count(*_: Any) -> None:
        calls[0] += 1

    model.register_forward_hook(count)
    return lambda: calls[0]
