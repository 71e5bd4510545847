"""Build the model of a family at an experiment's size."""

from __future__ import annotations

import inspect

from torch import nn

from xlmgen.errors import UserError
from xlmgen.experiment.settings import Experiment
from xlmgen.runtime.family import Family
from xlmgen.runtime.special_tokens import SpecialTokens


def build_model(
    family: Family, tokens: SpecialTokens, experiment: Experiment
) -> nn.Module:
    """Build the family's model at the experiment's size.

    Raises:
        UserError: the family has no such size, or its model has no such option.
    """
    if experiment.size not in family.sizes:
        sizes = ", ".join(family.sizes)
        raise UserError(
            f"size: the family {family.name} has no size '{experiment.size}'",
            f"its sizes are {sizes}",
        )
    known = inspect.signature(family.model).parameters
    for name in experiment.model:
        if name not in known:
            raise UserError(
                f"model.{name}: the model of {family.name} has no such option",
                f"remove the key; its size has {', '.join(list(known)[1:])}",
            )
    numbers = {**family.sizes[experiment.size], **experiment.model}
    return family.model(tokens.vocab_size, **numbers)
