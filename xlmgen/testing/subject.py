"""The family under test, imported from its folder."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from functools import cache
from inspect import signature
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import nn

from xlmgen.render.python import class_name
from xlmgen.runtime.family import Family
from xlmgen.runtime.special_tokens import SpecialTokens
from xlmgen.spec.family import FamilySpec, read_family
from xlmgen.testing.schedule import noise_schedule
from xlmgen.testing.state import StateNoise
from xlmgen.testing.toy import ANSWER, Toy, make_toy, seeded

TOKENS = SpecialTokens(vocab_size=8)


class FamilyTests:
    """Base of the suites; a rendered subclass sets `folder` to the family's folder."""

    folder: ClassVar[Path]
    tokens = TOKENS

    @pytest.fixture(autouse=True)
    def one_thread(self) -> Iterator[None]:
        """Use one thread: small networks are slower on several, most of all if busy."""
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        yield
        torch.set_num_threads(threads)

    @property
    def spec(self) -> FamilySpec:
        import_family(self.folder)  # which may have the class of its noise schedule
        return read_spec(self.folder)

    @property
    def family(self) -> Family:
        return import_family(self.folder)

    def types(self, suffix: str) -> type:
        """Return a type such as `Batch` from the family's `types_<name>.py`."""
        name = self.spec.name
        assert self.family.name == name
        module = sys.modules[f"xlmgen.families.{name}.types_{name}"]
        declared: type = getattr(module, class_name(name) + suffix)
        return declared

    def network(self, seed: int = 0, **numbers: Any) -> nn.Module:
        """Make a small network in evaluation mode, without weights that are zero."""
        model = self.fresh_network(seed, **numbers)
        generator = seeded(seed)
        with torch.no_grad():
            for parameter in model.parameters():
                noise = torch.randn(parameter.shape, generator=generator)
                parameter.add_(0.1 * noise)
        return model

    def fresh_network(self, seed: int = 0, **numbers: Any) -> nn.Module:
        """Make a small network with initial weights, in evaluation mode.

        Args:
            numbers: of its size. Only those that the network has are given to it.
        """
        size = {
            "d_model": 16,
            "layers": 2,
            "num_heads": 2,
            "num_kv_heads": 1,
            "dropout": 0.0,
        }
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            known = signature(self.family.model).parameters
            chosen = {key: n for key, n in (size | numbers).items() if key in known}
            model = self.family.model(self.tokens.vocab_size, **chosen)
        return model.eval()

    @property
    def causal(self) -> bool:
        """Whether the family's attention is causal, over tokens from left to right."""
        return "attention:causal" in self.provided and not self.ordered

    @property
    def ordered(self) -> bool:
        """Whether the family's rows are sorted by an order of generation."""
        return "ordered_tokens" in self.provided

    @property
    def suppress_tokens(self) -> tuple[int, ...]:
        """Ids that the family's predictor must not generate."""
        tokens, padding = self.tokens, self.spec.collator.options.get("padding")
        suppress_tokens = (tokens.bos, tokens.mask, tokens.cls)
        return (
            suppress_tokens if padding == "predict" else (tokens.pad, *suppress_tokens)
        )

    @property
    def ordinary(self) -> list[int]:
        """Ids that the family's predictor may generate."""
        ids = range(self.tokens.vocab_size)
        return [id_ for id_ in ids if id_ not in self.suppress_tokens]

    @property
    def provided(self) -> frozenset[str]:
        """Capabilities of the family's components."""
        return self.spec.provided

    @property
    def ratios(self) -> bool:
        """Whether the network predicts ratios of probabilities of noised tokens."""
        return "predicts:ratios" in self.provided

    @property
    def noise(self) -> StateNoise:
        """Noise of a family whose tokens are replaced by random ones."""
        mask = self.tokens.mask if "hybrid_noise" in self.provided else None
        schedule, size = noise_schedule(self.spec), self.tokens.vocab_size
        return StateNoise(schedule, self.ordinary, size, mask)

    def toy(self, *, prompted: bool = True) -> Toy:
        """Make a toy distribution over examples that the family can represent.

        One prompt ends in EOS, which must have no effect. If pads are targets, or the
        family is causal with EOS, answers have several lengths.
        """
        options = self.spec.collator.options
        bos, eos = bool(options.get("bos", True)), bool(options.get("eos", True))
        pads = options.get("padding") == "predict"
        prompts: list[tuple[int, ...]] = [()]
        if prompted:
            prompts = [(5,), (6,), (7, self.tokens.eos)]
        if eos:
            lengths = range(ANSWER)
        else:
            lengths = range(ANSWER if self.causal else 1, ANSWER + 1)
        return make_toy(
            self.tokens, prompts=prompts, lengths=lengths, bos=bos, eos=eos, pads=pads
        )


@cache
def read_spec(folder: Path) -> FamilySpec:
    """Read the spec of the family in a folder."""
    return read_family(folder / "family.yaml")


def import_family(folder: Path) -> Family:
    """Import the package in a folder as `xlmgen.families.<name>`.

    Unlike the registry, this searches no other place, so that copies of families can be
    tested.
    """
    name = f"xlmgen.families.{read_spec(folder).name}"
    known = sys.modules.get(name)
    if known is not None and known.__file__ == str(folder / "__init__.py"):
        return known.FAMILY
    for module in [m for m in sys.modules if m == name or m.startswith(f"{name}.")]:
        del sys.modules[module]
    spec = importlib.util.spec_from_file_location(name, folder / "__init__.py")
    assert spec is not None
    assert spec.loader is not None
    package = importlib.util.module_from_spec(spec)
    sys.modules[name] = package
    spec.loader.exec_module(package)
    return package.FAMILY
