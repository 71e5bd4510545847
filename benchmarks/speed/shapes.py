"""The shapes that are measured: of the network, of a batch and of a generation."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Shape:
    """One size of everything.

    Args:
        d_model, layers, num_heads: of the network. The feed-forward layer is four times
            as wide.
        length: positions of a training row.
        batch: training rows.
        vocab: token ids in all.
        dropout: in training, on both sides.
        rows, prompt, new: of a generation: rows at once, tokens given, tokens made.
        steps: numbers of steps for predictors that have such a number.
        precision: what the forward and backward pass compute in.
    """

    d_model: int
    layers: int
    num_heads: int
    length: int
    batch: int
    vocab: int
    dropout: float = 0.1
    rows: int = 16
    prompt: int = 8
    new: int = 120
    steps: tuple[int, ...] = (64, 128)
    precision: str = "32-true"


SHAPES = {
    "small": Shape(d_model=128, layers=4, num_heads=4, length=128, batch=64, vocab=64),
    "base": Shape(
        d_model=256,
        layers=6,
        num_heads=8,
        length=256,
        batch=16,
        vocab=32_000,
        steps=(64,),
    ),
    "gpu": Shape(
        d_model=768,
        layers=12,
        num_heads=12,
        length=1024,
        batch=16,
        vocab=50_257,
        precision="bf16-mixed",
    ),
}
"""`gpu` is a network of GPT-2's smallest size and only means something on a GPU."""
