"""What tests of training share."""

import pytest


@pytest.fixture
def two_steps():
    """Overrides with which any experiment trains two steps in a second."""
    return (
        "size=tiny",
        "model.d_model=16",
        "model.layers=1",
        "model.num_heads=2",
        "model.num_kv_heads=1",
        "training.max_steps=2",
        "training.batch_size=4",
        "training.warmup_steps=0",
        "training.accelerator=cpu",
        "evaluation.generate=2",
        "loggers=[]",
    )
