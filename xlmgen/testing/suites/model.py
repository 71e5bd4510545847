"""Tests of all networks."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_model, save_model
from torch import Tensor, nn

from xlmgen.runtime.nn import Attention
from xlmgen.testing.subject import FamilyTests
from xlmgen.testing.toy import CONTENT, seeded

ROWS, LENGTH = 3, 6
IDS = torch.randint(CONTENT[0], CONTENT[-1] + 1, (ROWS, LENGTH), generator=seeded(1))
ONE_ROW = torch.tensor([[5, 6, 7, 5]])


class ModelTests(FamilyTests):
    """Shapes, the head on selected positions, padding, saving, initial weights."""

    def test_logits_have_declared_shape(self) -> None:
        model, ids = self.network(), IDS
        logits = call(model, ids)
        assert logits.shape == (ROWS, LENGTH, self.tokens.vocab_size)
        assert logits.dtype == torch.float32
        assert logits.isfinite().all()

    def test_head_on_selected_positions_equals_full_head(self) -> None:
        model, ids = self.network(), IDS
        positions = torch.tensor([1, LENGTH - 1, LENGTH, 2 * LENGTH + 3])
        every = call(model, ids).flatten(0, 1)
        torch.testing.assert_close(
            call(model, ids, positions=positions), every[positions]
        )
        with torch.inference_mode():  # the last block may run at these positions only
            torch.testing.assert_close(
                call(model, ids, positions=positions), every[positions]
            )

    def test_head_on_no_positions_gives_no_rows(self) -> None:
        none = torch.empty(0, dtype=torch.int64)
        logits = call(self.network(), IDS, positions=none)
        assert logits.shape == (0, self.tokens.vocab_size)

    def test_norms_have_explicit_epsilon(self) -> None:
        """If it is None, PyTorch uses the epsilon of the dtype."""
        for name, module in self.network().named_modules():
            assert getattr(module, "eps", 0.0) is not None, name

    def test_logits_depend_on_position(self) -> None:
        model, ids = self.network(), IDS[:1]
        swapped = ids.clone()
        first, second = (ids[0] != ids[0, 0]).nonzero()[0].item(), 0
        swapped[0, [first, second]] = ids[0, [second, first]]
        last = torch.tensor([LENGTH - 1])
        assert differ(
            call(model, ids, positions=last), call(model, swapped, positions=last)
        )

    def test_right_pads_have_no_effect(self) -> None:
        model, ids = self.network(), IDS
        pads = torch.full((ROWS, 2), self.tokens.pad)
        attended = torch.ones(ROWS, LENGTH + 2, dtype=torch.bool)
        attended[:, LENGTH:] = False
        padded = call(model, torch.cat((ids, pads), dim=1), attended)
        torch.testing.assert_close(padded[:, :LENGTH], call(model, ids))

    def test_token_order_has_no_effect_with_explicit_positions(self) -> None:
        model, ids = self.network(), IDS
        if not takes(model, "position_ids") or self.ordered:
            return  # attention to earlier tokens depends on their order
        places = torch.arange(LENGTH).expand(ROWS, -1)
        before = call(model, ids)
        torch.testing.assert_close(call(model, ids, position_ids=places), before)
        order = torch.randperm(LENGTH, generator=seeded(2))
        after = call(model, ids[:, order], position_ids=places[:, order])
        torch.testing.assert_close(after, before[:, order])

    def test_mask_of_ones_equals_no_mask(self) -> None:
        model, ids = self.network(), IDS
        everything = torch.ones(ids.shape, dtype=torch.bool)
        torch.testing.assert_close(call(model, ids, everything), call(model, ids))

    def test_rows_do_not_affect_each_other(self) -> None:
        model, ids = self.network(), IDS
        t = torch.linspace(0.1, 0.9, ROWS)
        alone = [
            call(model, ids[row : row + 1], t=t[row : row + 1]) for row in range(ROWS)
        ]
        together = call(model, ids, t=t)
        torch.testing.assert_close(together, torch.cat(alone), rtol=1e-4, atol=1e-4)

    def test_packed_documents_have_logits_as_if_alone(self) -> None:
        """Except for the logits at the first token of each, which is given."""
        model, ids = self.network(), torch.cat((IDS, IDS.flip(1)), dim=1)
        documents = torch.ones_like(ids)
        documents[:, LENGTH:] = 2
        together = outputs(model, ids, documents)
        alone = [outputs(model, part) for part in (IDS, IDS.flip(1))]
        for both, first, second in zip(together, *alone, strict=True):
            if both.shape[1] != 2 * LENGTH:
                continue  # of the full row
            torch.testing.assert_close(both[:, 1:LENGTH], first[:, 1:])
            torch.testing.assert_close(both[:, LENGTH + 1 :], second[:, 1:])
        padded = F.pad(ids, (0, 2), value=self.tokens.pad)
        after = call(model, padded, F.pad(documents, (0, 2)))[:, : 2 * LENGTH]
        torch.testing.assert_close(after, together[0])

    def test_saved_and_loaded_model_has_same_outputs(self, tmp_path: Path) -> None:
        model, other, ids = self.network(0), self.network(1), IDS
        assert differ(call(model, ids), call(other, ids))
        save_model(model, str(tmp_path / "model.safetensors"))
        load_model(other, tmp_path / "model.safetensors")
        assert torch.equal(call(model, ids), call(other, ids))

    def test_every_parameter_gets_a_gradient(self) -> None:
        model = self.network()
        torch.autograd.backward([out.square().sum() for out in outputs(model, IDS)])
        without = [
            name
            for name, parameter in model.named_parameters()
            if parameter.grad is None or not parameter.grad.abs().sum() > 0
        ]
        assert not without

    def test_layers_have_different_initial_weights(self) -> None:
        first, second = blocks(self.fresh_network(layers=2))
        assert first is not second
        for (name, one), (_, other) in zip(
            first.named_parameters(), second.named_parameters(), strict=True
        ):
            # Gains and biases have the same initial constants everywhere.
            drawn = one.dim() > 1 and one.ne(one.flatten()[0]).any()
            assert not drawn or differ(one, other), name

    def test_state_names_are_deterministic(self) -> None:
        one, other = self.network(0).state_dict(), self.network(1, d_model=32)
        assert list(one) == list(other.state_dict())

    def test_dropout_is_active_in_training_only(self) -> None:
        if "dropout" not in inspect.signature(self.family.model).parameters:
            pytest.skip("the network has no dropout")
        model, ids = self.network(dropout=0.5), IDS
        assert torch.equal(call(model, ids), call(model, ids))
        model.train()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            assert differ(call(model, ids), call(model, ids))


class BidirectionalModelTests(FamilyTests):
    """Every position attends to all others."""

    def test_every_position_affects_all_others(self) -> None:
        model = self.network()
        ids = torch.tensor([[5, 6, 7, 6, 5]])
        before = call(model, ids)
        for position in range(ids.shape[1]):
            changed = ids.clone()
            changed[0, position] = 7 if ids[0, position] != 7 else 5
            moved = (call(model, changed) - before).abs().amax(-1)
            assert (moved > 1e-6).all(), position

    def test_ids_of_pads_have_no_effect(self) -> None:
        model = self.network()
        ids = torch.tensor([[5, 6, 7, 0, 0], [7, 7, 5, 6, 6]])
        attended = torch.tensor([[True, True, True, False, False], [True] * 5])
        other = ids.masked_fill(~attended, 6)
        one, two = call(model, ids, attended), call(model, other, attended)
        torch.testing.assert_close(one[attended], two[attended])


class ShiftTests(FamilyTests):
    """The token at a position is predicted from the position before."""

    def test_prediction_depends_on_previous_position(self) -> None:
        """Without attention a hidden state depends on its own token only."""
        model = without_attention(self.network())
        before = call(model, IDS)
        for position in range(LENGTH):
            changed = IDS.clone()
            changed[:, position] = self.tokens.eos
            moved = (call(model, changed) - before).abs().amax((0, 2)) > 1e-6
            read_at = {position + 1} if position else {0, 1}
            assert set(moved.nonzero().flatten().tolist()) == read_at - {LENGTH}


class StopHeadTests(FamilyTests):
    """The stop head: two logits for every row."""

    def test_every_row_has_two_stop_logits(self) -> None:
        positions = torch.tensor([1, LENGTH])
        stop = outputs(self.network(), IDS, positions=positions)[1]
        assert stop.shape == (ROWS, 2)
        assert stop.dtype == torch.float32

    def test_every_token_affects_stop_logits(self) -> None:
        model = self.network()
        before = outputs(model, IDS)[1]
        for position in range(LENGTH):
            changed = IDS.clone()
            changed[:, position] = self.tokens.eos
            moved = (outputs(model, changed)[1] - before).abs().amax(1)
            assert (moved > 1e-6).all(), position

    def test_pads_do_not_affect_output(self) -> None:
        model = self.network()
        pads = torch.full((ROWS, 2), self.tokens.pad)
        attended = torch.arange(LENGTH + 2).expand(ROWS, -1) < LENGTH
        padded = outputs(model, torch.cat((IDS, pads), dim=1), attended)[1]
        torch.testing.assert_close(padded, outputs(model, IDS)[1])

    def test_stop_logits_depend_on_first_position(self) -> None:
        """Without attention only the first token has an influence."""
        model = without_attention(self.network())
        before = outputs(model, IDS)[1]
        for position in range(LENGTH):
            changed = IDS.clone()
            changed[:, position] = self.tokens.eos
            assert differ(outputs(model, changed)[1], before) == (position == 0)


class GapHeadTests(FamilyTests):
    """The gap head: the number of tokens missing after every position."""

    def test_every_position_has_gap_output(self) -> None:
        options = self.spec.model.options
        gap = outputs(self.network(), IDS, positions=torch.tensor([1, LENGTH]))[1]
        assert gap.dtype == torch.float32
        if options["gap_head"] == "distribution":
            assert gap.shape == (ROWS, LENGTH, options["max_gap"] + 1)
        else:
            assert gap.shape == (ROWS, LENGTH)
            assert (gap > 0).all()

    def test_every_token_affects_every_gap(self) -> None:
        model = self.network()
        before = outputs(model, IDS)[1].view(ROWS, LENGTH, -1)
        for position in range(LENGTH):
            changed = IDS.clone()
            changed[:, position] = self.tokens.eos
            after = outputs(model, changed)[1].view(ROWS, LENGTH, -1)
            assert (after != before).any(2).all(), position

    def test_pads_do_not_affect_output(self) -> None:
        model = self.network()
        pads = torch.full((ROWS, 2), self.tokens.pad)
        attended = torch.arange(LENGTH + 2).expand(ROWS, -1) < LENGTH
        padded = outputs(model, torch.cat((IDS, pads), dim=1), attended)[1]
        torch.testing.assert_close(padded[:, :LENGTH], outputs(model, IDS)[1])

    def test_gap_depends_on_its_own_position(self) -> None:
        """Without attention a gap depends only on the token before it."""
        model = without_attention(self.network())
        before = outputs(model, IDS)[1].view(ROWS, LENGTH, -1)
        for position in range(LENGTH):
            changed = IDS.clone()
            changed[:, position] = self.tokens.eos
            after = outputs(model, changed)[1].view(ROWS, LENGTH, -1)
            moved = (after - before).abs().amax((0, 2)) > 1e-6
            assert moved.nonzero().flatten().tolist() == [position]


class TimeModelTests(FamilyTests):
    """Time conditioning by modulation that starts as the identity (adaLN)."""

    def test_initial_network_ignores_time(self) -> None:
        model = self.fresh_network()
        noisy, clean = torch.tensor([1.0]), torch.tensor([0.1])
        assert torch.equal(call(model, ONE_ROW, t=noisy), call(model, ONE_ROW, t=clean))

    def test_all_parameters_of_initial_block_get_gradients(self) -> None:
        """A gate that starts closed would block the gradients of earlier layers."""
        model = self.fresh_network()
        torch.autograd.backward([out.square().sum() for out in outputs(model, IDS)])
        for block in blocks(model):
            for name, parameter in block.named_parameters():
                assert parameter.grad is not None, name
                assert parameter.grad.abs().sum() > 0, name

    def test_residual_is_taken_before_the_norm(self) -> None:
        """A large constant is removed by a norm but kept in the residual stream."""
        model, streams = self.network(), []
        block = blocks(model)[0]
        block.register_forward_hook(
            lambda _, inputs, output: streams.append((inputs[0], output))
        )
        call(model, ONE_ROW)
        (embedding,) = (m for m in model.modules() if isinstance(m, nn.Embedding))
        with torch.no_grad():
            embedding.weight.add_(1e4)
        call(model, ONE_ROW)
        (before, out_before), (after, out_after) = streams
        torch.testing.assert_close(after - before, torch.full_like(after, 1e4))
        grown = (out_after - out_before).mean()
        assert 0.9e4 < grown < 1.1e4

    def test_trained_network_depends_on_time(self) -> None:
        model = self.network()
        times = torch.tensor([0.2, 0.8])
        logits = call(model, ONE_ROW.expand(2, -1), t=times)
        assert differ(logits[0], logits[1])


class AbsolutePositionTests(FamilyTests):
    """Absolute position embeddings in addition to rotary positions."""

    def test_equal_tokens_have_different_logits_by_position(self) -> None:
        """With rotary positions alone, equal tokens have equal logits."""
        logits = call(self.network(), torch.full((1, LENGTH), 5))[0]
        # With shifted predictions, the first two are read at the same position.
        for place in range(2, LENGTH):
            assert differ(logits[place], logits[place - 1]), place


class QkNormTests(FamilyTests):
    """Normalised queries and keys."""

    def test_scale_of_queries_and_keys_has_no_effect(self) -> None:
        model = self.network()
        before = call(model, IDS)
        for module in model.modules():
            if isinstance(module, Attention):
                with torch.no_grad():
                    module.qkv.weight[: -module.num_kv_heads * module.head_dim].mul_(50)
        torch.testing.assert_close(call(model, IDS), before, rtol=1e-3, atol=1e-3)


def call(
    model: nn.Module,
    ids: Tensor,
    attention_mask: Tensor | None = None,
    *,
    t: Tensor | None = None,
    **arguments: Any,
) -> Tensor:
    """Compute the token logits, by default at time ½ if the model takes a time."""
    return outputs(model, ids, attention_mask, t=t, **arguments)[0]


def outputs(
    model: nn.Module,
    ids: Tensor,
    attention_mask: Tensor | None = None,
    *,
    t: Tensor | None = None,
    **arguments: Any,
) -> tuple[Tensor, ...]:
    """The logits of tokens, then what a further head of the model returns."""
    if takes_time(model):
        half = torch.full((len(ids),), 0.5)
        arguments["t"] = half if t is None else t
    given: Tensor | tuple[Tensor, ...] = model(ids, attention_mask, **arguments)
    hidden, *further = (given,) if isinstance(given, Tensor) else given
    head: Any = model.head
    return head(hidden), *further


def blocks(model: nn.Module) -> nn.ModuleList:
    """Return the layers of a model: its longest list of modules."""
    found = (m for m in model.modules() if isinstance(m, nn.ModuleList))
    return max(found, key=len)


def without_attention(model: nn.Module) -> nn.Module:
    """Set the output projection of every attention layer to zero."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith(("attention.out.weight", "o_proj.weight")):
                parameter.zero_()
    return model


def takes_time(model: nn.Module) -> bool:
    """Whether the model has a time input."""
    return takes(model, "t")


def takes(model: nn.Module, argument: str) -> bool:
    """Whether the model's forward pass has an argument of this name."""
    return argument in inspect.signature(model.forward).parameters


def differ(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors differ by more than rounding."""
    return not torch.allclose(one, other, rtol=1e-4, atol=1e-5)


__all__ = [
    "AbsolutePositionTests",
    "BidirectionalModelTests",
    "GapHeadTests",
    "ModelTests",
    "QkNormTests",
    "ShiftTests",
    "StopHeadTests",
    "TimeModelTests",
    "call",
]
