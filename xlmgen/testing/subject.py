"""The family under test: wherever its folder lies, it is imported from there."""

from __future__ import annotations

import importlib.util
import sys
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import nn

from xlmgen.family import Family
from xlmgen.spec.family import FamilySpec, read_family
from xlmgen.tokens import SpecialTokens

CONTENT = (5, 6, 7)
"""The ordinary tokens of the tests' vocabulary."""

TOKENS = SpecialTokens(vocab_size=8)


class FamilyTests:
    """Plain pytest tests of one family; a rendered subclass says where it lies."""

    folder: ClassVar[Path]
    tokens = TOKENS

    @property
    def spec(self) -> FamilySpec:
        return read_spec(self.folder)

    @property
    def family(self) -> Family:
        return import_family(self.folder)

    def network(self, seed: int = 0, **numbers: Any) -> nn.Module:
        """A small network of the family in evaluation mode, no weight of it zero."""
        model = self.fresh_network(seed, **numbers)
        generator = seeded(seed)
        with torch.no_grad():
            for parameter in model.parameters():
                noise = torch.randn(parameter.shape, generator=generator)
                parameter.add_(0.2 * noise)
        return model

    def fresh_network(self, seed: int = 0, **numbers: Any) -> nn.Module:
        """A small network as it is before training, in evaluation mode."""
        size = {"d_model": 16, "layers": 2, "heads": 2, "kv_heads": 1, "dropout": 0.0}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = self.family.model(self.tokens.vocab_size, **size | numbers)
        return model.eval()


def seeded(seed: int = 0) -> torch.Generator:
    """A generator that starts from `seed`."""
    return torch.Generator().manual_seed(seed)


@cache
def read_spec(folder: Path) -> FamilySpec:
    """The spec of the family in a folder."""
    return read_family(folder / "family.yaml")


@cache
def import_family(folder: Path) -> Family:
    """Import the package in a folder as `xlmgen.families.<name>`, whatever its path.

    Unlike the registry this looks in no other place, so that a copy of a family is
    tested as it is.
    """
    name = f"xlmgen.families.{read_spec(folder).name}"
    for module in [m for m in sys.modules if m == name or m.startswith(f"{name}.")]:
        del sys.modules[module]
    spec = importlib.util.spec_from_file_location(name, folder / "__init__.py")
    assert spec is not None
    assert spec.loader is not None
    package = importlib.util.module_from_spec(spec)
    sys.modules[name] = package
    spec.loader.exec_module(package)
    family: Family = package.FAMILY
    return family
