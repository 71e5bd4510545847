"""Check whether weights fit a network, before the network is allocated."""

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
    """Differences of names and shapes between weights and an experiment's network.

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
    own = {name for name, _ in model.named_parameters()}  # tied parameters count once
    expected = {name: tuple(tensor.shape) for name, tensor in names.items()}
    return compare(shards.entries, expected, frozenset(names.keys() - own))
