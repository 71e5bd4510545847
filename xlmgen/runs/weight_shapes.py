"""Whether weights fit a network, found out before there is memory for it."""

from __future__ import annotations

import torch

from xlmgen.errors import UserError
from xlmgen.experiment.settings import Experiment
from xlmgen.io.shards import Shards, compare
from xlmgen.runs.model import build_model
from xlmgen.runtime.family import Family
from xlmgen.runtime.special_tokens import SpecialTokens


def misfits(
    shards: Shards, family: Family, tokens: SpecialTokens, experiment: Experiment
) -> list[str]:
    """Names and shapes in which weights differ from the network of an experiment.

    Raises:
        UserError: no network can be built with the experiment's sizes.
    """
    try:
        with torch.device("meta"):
            model = build_model(family, tokens, experiment)
    except (RuntimeError, ValueError, TypeError, ArithmeticError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"size {experiment.size} of the family {family.name}: no network has such "
            f"numbers ({reason})",
            "see `sizes` in its family.yaml and `model` in the experiment",
        ) from error
    names = model.state_dict()
    own = {name for name, _ in model.named_parameters()}  # a tied one counts once
    expected = {name: tuple(tensor.shape) for name, tensor in names.items()}
    return compare(shards.entries, expected, frozenset(names.keys() - own))
