"""A training step on a GPU: how long it takes, and what holds it up."""

import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch._dynamo.utils import counters
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.speed.shapes import Shape
from benchmarks.speed.side import Side
from xlmgen.training.peaks import peak_flops

WARM_UP, STEPS = 5, 20


class DeviceStep:
    """A family's step as a run on a GPU would take it: compiled, and under autocast.

    Args:
        side: ours; its network moves to the device.
        shape: says the precision.
        device: where.
        backend: of `torch.compile`.
    """

    def __init__(
        self, side: Side, shape: Shape, device: torch.device, backend: str = "inductor"
    ) -> None:
        counters.clear()
        self.device, self.precision = device, shape.precision
        side.model.to(device)
        batch = side.collate(side.examples(shape.batch))
        self.batch = {key: _moved(value, device) for key, value in batch.items()}
        self.plain = side.loss
        self.compiled = torch.compile(side.loss, backend=backend)
        fused = device.type == "cuda"
        self.optimizer = torch.optim.AdamW(side.groups, lr=1e-4, fused=fused)

    def __call__(self, *, compiled: bool = True) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        mixed = self.precision == "bf16-mixed"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=mixed):
            loss = (self.compiled if compiled else self.plain)(self.batch)
        torch.autograd.backward(loss)
        self.optimizer.step()

    def measure(self) -> dict[str, Any]:
        """Seconds of a step, its share of the peak, and how often it is held up.

        Returns:
            `operations` are those of the products, `mfu` their rate by the device's
            peak or None where that is not known, `graph_breaks` and `graphs` those of
            the compiler, and `syncs` how often a step waits for the device.
        """
        with FlopCounterMode(display=False) as counter:
            self(compiled=False)
        for _ in range(WARM_UP):
            self()
        with counted_syncs(self.device) as syncs:
            self()
        self._wait()
        begin = time.perf_counter()
        for _ in range(STEPS):
            self()
        self._wait()
        seconds = (time.perf_counter() - begin) / STEPS
        operations = counter.get_total_flops()
        peak = peak_flops(self.device, self.precision)
        return {
            "seconds": seconds,
            "operations": operations,
            "mfu": operations / seconds / peak if peak else None,
            "graphs": counters["stats"]["unique_graphs"],
            "graph_breaks": sum(counters["graph_break"].values()),
            "syncs": len(syncs),
        }

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


@contextmanager
def counted_syncs(device: torch.device) -> Iterator[list[warnings.WarningMessage]]:
    """The warnings that PyTorch gives where a block waits for the device."""
    if device.type != "cuda":
        yield []
        return
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            yield found
        finally:
            torch.cuda.set_sync_debug_mode("default")


def _moved(value: Any, device: torch.device) -> Any:
    return value.to(device) if isinstance(value, Tensor) else value
