"""xlm-core's models, losses, collators and predictors, put together as it does itself.

    python -m benchmarks.learn.peer train RUN
    python -m benchmarks.learn.peer evaluate RUN

Runs in a virtual environment of its own, without xlmgen (`benchmarks/speed/venv.py`).
Only public classes, unchanged, with the options of its configurations for star graphs;
`mdlm`, which has no such configuration, is put together as its `mlm` is.
"""

import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.learn.fit import Example, Fit, Peer, answer_of

SPECIAL = 7
"""Ids that its tokenizer keeps for special tokens."""
CONDITION = 128
"""Width of its embedding of time."""
Parts = tuple[Any, Any, Any, Any, Any]
"""Model, loss, collator, collator of prompts, predictor."""


class _Device:
    """What its losses ask a Lightning module for."""

    device = torch.device("cpu")


class _Kit:
    """What all of its families are made with."""

    def __init__(self, numbers: Mapping[str, Any]) -> None:
        from xlm.datamodule import SimpleSpaceTokenizer
        from xlm.noise import DummyNoiseSchedule

        self.tokenizer = SimpleSpaceTokenizer.for_numbers(numbers["content_tokens"])
        assert self.tokenizer.full_vocab_size == SPECIAL + numbers["content_tokens"]
        self.no_noise = DummyNoiseSchedule()
        self.answer = numbers["answer"]
        self.prompt = numbers["prompt"] + 2  # with CLS and BOS
        self.network = {
            "num_embeddings": self.tokenizer.full_vocab_size,
            "d_model": numbers["d_model"],
            "num_layers": numbers["layers"],
            "nhead": numbers["heads"],
            "padding_idx": self.tokenizer.pad_token_id,
            "dim_feedforward": 4 * numbers["d_model"],
            "dropout": numbers["dropout"],
            "activation": "relu",
            "layer_norm_eps": 1e-5,
            "rotary_emb_dim": numbers["d_model"] // numbers["heads"],
            "max_length": self.prompt + self.answer + 4,
        }
        self.masks = {"mask_idx": self.tokenizer.mask_token_id}
        self.blocks = {
            "tokenizer": self.tokenizer,
            "block_size": self.answer,
            "input_block_size": self.prompt,
        }
        self.noiseless = {**self.blocks, "noise_schedule": self.no_noise}


def build(numbers: Mapping[str, Any]) -> Peer:
    """One of its families, from the numbers in `peer.json`."""
    kit = _Kit(numbers)
    model, loss, collate, open_prompts, predictor = FAMILIES[numbers["family"]](kit)
    loss.configure(_Device())
    decayed = [parameter for _, parameter in model.get_named_params_for_weight_decay()]
    others = [p for _, p in model.get_named_params_for_no_weight_decay()]
    tokenizer = kit.tokenizer
    ends = (tokenizer.eos_token_id, tokenizer.pad_token_id)

    def answer(batch: list[Example]) -> list[list[int]]:
        made = predictor.predict(open_prompts(_theirs(batch)))
        begin = made.get("output_start_idx")
        rows = made["ids"].tolist()
        begins = [
            row.index(tokenizer.bos_token_id) + 1 if begin is None else begin
            for row in rows
        ]
        ids = [answer_of(row, at, ends) for row, at in zip(rows, begins, strict=True)]
        return [[id_ - SPECIAL for id_ in row] for row in ids]

    return Peer(
        model=model,
        groups=[{"params": decayed}, {"params": others, "weight_decay": 0.0}],
        collate=lambda batch: collate(_theirs(batch)),
        loss=lambda batch: loss(batch)["loss"],
        answer=answer,
    )


def _theirs(batch: Sequence[Example]) -> list[Example]:
    """Examples with its names of the parts and its ids."""
    names = {"prompt": "prompt_ids", "target": "input_ids"}
    return [
        {names[part]: [id_ + SPECIAL for id_ in ids] for part, ids in one.items()}
        for one in batch
    ]


def _arlm(kit: _Kit) -> Parts:
    from arlm.datamodule_arlm import ARLMSeq2SeqCollator, ARLMSeq2SeqPredCollator
    from arlm.loss_arlm import ARLMLoss
    from arlm.model_arlm import RotaryTransformerARLMModel
    from arlm.predictor_arlm import ARLMPredictor

    model = RotaryTransformerARLMModel(**kit.network)
    options = {**kit.noiseless, "add_bos": "output", "add_eos": True}
    return (
        model,
        ARLMLoss(model=model, tokenizer=kit.tokenizer),
        ARLMSeq2SeqCollator(**options),
        ARLMSeq2SeqPredCollator(**options),
        ARLMPredictor(
            max_steps=kit.answer,
            max_length=kit.answer + kit.prompt,
            tokenizer=kit.tokenizer,
            sampling_method="sample_top_k",
            top=1,
            model=model,
        ),
    )


def _mlm(kit: _Kit) -> Parts:
    from mlm.datamodule_mlm import MLMSeq2SeqPredCollator, MLMSeq2SeqTrainCollator
    from mlm.loss_mlm import MLMLoss
    from mlm.model_mlm import RotaryTransformerMLMModel
    from mlm.predictor_mlm import MLMPredictor

    model = RotaryTransformerMLMModel(**kit.network, **kit.masks)
    options = {**kit.noiseless, "add_bos": True, "add_eos": True}
    options |= {"truncate": "block", "loss_on_padding": True}
    return (
        model,
        MLMLoss(loss_on_padding=True, model=model, tokenizer=kit.tokenizer),
        MLMSeq2SeqTrainCollator(**options),
        MLMSeq2SeqPredCollator(**options),
        MLMPredictor(
            max_steps=500,
            max_new_tokens=kit.answer,
            tokenizer=kit.tokenizer,
            top_k=1,
            confidence="top_prob",
            threshold=0.1,
            model=model,
        ),
    )


def _mdlm(kit: _Kit) -> Parts:
    from mdlm.datamodule_mdlm import (
        MDLMSeq2SeqPredCollator,
        mdlm_single_segment_collate_fn,
        prepare_prefix_ids,
    )
    from mdlm.loss_mdlm import MDLMLoss
    from mdlm.model_mdlm import MDLMModel
    from mdlm.noise_mdlm import ContinuousTimeLogLinearSchedule
    from mdlm.predictor_mdlm import MDLMPredictor

    tokenizer = kit.tokenizer
    schedule = ContinuousTimeLogLinearSchedule(sigma_min=0.0, sigma_max=10.0)
    model = MDLMModel(d_cond=CONDITION, **kit.network, **kit.masks)
    begin = MDLMSeq2SeqPredCollator(
        **kit.blocks, noise_schedule=schedule, add_bos=True, add_eos=True
    )

    def collate(examples: list[Example]) -> dict[str, Any]:
        """The prompt, then the noised answer.

        Its own collator for training, `MDLMSeq2SeqTrainCollator`, raises: it has no
        `bos_location`. These are the functions that its others are made of.
        """
        prefix = prepare_prefix_ids(
            [[*e["prompt_ids"], tokenizer.bos_token_id] for e in examples],
            tokenizer.pad_token_id,
            max_seq_len=kit.prompt,
        )
        batch = mdlm_single_segment_collate_fn(
            [e["input_ids"] for e in examples],
            schedule,
            tokenizer.pad_token_id,
            tokenizer.mask_token_id,
            eos_token_id=tokenizer.eos_token_id,
            max_seq_len=kit.answer,
            loss_on_padding=True,
        )
        ids, seen = prefix["input_ids"], prefix["attention_mask"]
        return {
            **batch,
            "input_ids": torch.cat([ids, batch["input_ids"]], 1),
            "attention_mask": torch.cat([seen, batch["attention_mask"]], 1),
            "target_ids": torch.cat([ids, batch["target_ids"]], 1),
        }

    def open_prompts(examples: list[Example]) -> dict[str, Any]:
        batch = begin(examples)
        return {key: batch[key] for key in ("input_ids", "attention_mask")}

    predictor = MDLMPredictor(
        max_steps=128,
        max_new_tokens=kit.answer,
        tokenizer=tokenizer,
        model=model,
        noise_schedule=schedule,
        # Only with both of them does it draw from a distribution at all.
        top_k=2,
        top_p=0.9,
    )
    loss = MDLMLoss(loss_on_padding=True, model=model, tokenizer=tokenizer)
    return model, loss, collate, open_prompts, predictor


def _ilm(kit: _Kit) -> Parts:
    from ilm.datamodule_ilm import ILMSeq2SeqCollator, ILMSeq2SeqPredCollator
    from ilm.loss_ilm import ILMLossWithMaskedCE
    from ilm.model_ilm import RotaryTransformerILMModelWithStoppingClassification
    from ilm.predictor_ilm import ILMPredictorWithStoppingClassification

    model = RotaryTransformerILMModelWithStoppingClassification(
        **kit.network, **kit.masks, final_layer_without_normalization=True
    )
    return (
        model,
        ILMLossWithMaskedCE(
            length_loss="binary_ce", model=model, tokenizer=kit.tokenizer
        ),
        ILMSeq2SeqCollator(**kit.noiseless),
        ILMSeq2SeqPredCollator(**kit.noiseless),
        ILMPredictorWithStoppingClassification(
            max_steps=kit.answer,
            max_length=kit.answer + kit.prompt,
            tokenizer=kit.tokenizer,
            noise_schedule=kit.no_noise,
            sampling_method="sample_top_k",
            top=1,
            second_sampling_method="sample_top_k",
            second_top=2,
            model=model,
        ),
    )


def _flexmdm(kit: _Kit) -> Parts:
    from flexmdm.datamodule_flexmdm import FlexMDMPredCollator, FlexMDMTrainCollator
    from flexmdm.loss_flexmdm import FlexMDMLoss
    from flexmdm.model_flexmdm import FlexMDMModel
    from flexmdm.noise_flexmdm import FlexMDMNoiseSchedule, LinearSchedule
    from flexmdm.predictor_flexmdm import FlexMDMPredictor

    schedule = FlexMDMNoiseSchedule(LinearSchedule(), LinearSchedule())
    model = FlexMDMModel(
        d_cond=CONDITION,
        len_predict_type="expectation",
        len_head_type="mlp",
        **kit.network,
        **kit.masks,
    )
    return (
        model,
        FlexMDMLoss(
            loss_on_padding=True,
            noise_schedule=schedule,
            model=model,
            tokenizer=kit.tokenizer,
            insert_loss_fn="expectation",
        ),
        FlexMDMTrainCollator(**kit.blocks),
        FlexMDMPredCollator(**kit.blocks),
        FlexMDMPredictor(
            max_steps=500,
            tokenizer=kit.tokenizer,
            model=model,
            noise_schedule=schedule,
            len_predict_type="expectation",
            top_k=1,
            confidence="prob_diff",
        ),
    )


FAMILIES: dict[str, Callable[[_Kit], Parts]] = {
    "arlm": _arlm,
    "mlm": _mlm,
    "mdlm": _mdlm,
    "ilm": _ilm,
    "flexmdm": _flexmdm,
}


def main(arguments: Sequence[str]) -> int:
    what, folder = arguments
    warnings.simplefilter("ignore")
    fit = Fit(Path(folder), build)
    if what == "train":
        return fit.go()
    fit.evaluate()
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
