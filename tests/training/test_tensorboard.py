"""TensorBoard shows the settings, the curves and the answers of a run."""

import pytest

from xlmgen.cli import main
from xlmgen.training.tensorboard import flat, markdown_table


@pytest.fixture
def events(project):
    assert main(["train", "toy.yaml", "loggers=[tensorboard]"]) == 0
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(project / "runs" / "toy" / "tensorboard"))
    found.Reload()
    return found


def test_events_have_settings_scalars_and_answers(events):
    assert {"train/loss", "val/loss"} <= set(events.scalars.Keys())
    (plugin,) = [
        events.summary_metadata[tag].plugin_data.content
        for tag in events.summary_metadata
        if tag.endswith("session_start_info")
    ]
    assert b"training.learning_rate" in plugin
    texts = events.Tensors("val/samples/text_summary")
    assert [event.step for event in texts] == [6, 12]
    (text,) = texts[-1].tensor_proto.string_val
    lines = text.decode().splitlines()
    assert lines[0] == "| prompt | prediction | target | correct |"
    assert len(lines) == 2 + 4


@pytest.mark.slow
def test_texts_of_a_task_without_answers_are_shown(project):
    settings = ["training.max_steps=2", "training.validate_every=2", "size=tiny"]
    settings += ["loggers=[tensorboard]", "evaluation.generate=2"]
    assert main(["train", "arlm/shakespeare_char", *settings, "--run-dir", "run"]) == 0
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator("run/tensorboard")
    found.Reload()
    (event,) = found.Tensors("val/samples/text_summary")
    (text,) = event.tensor_proto.string_val
    lines = text.decode().splitlines()
    assert len(lines) == 2 + 2
    assert all(len(line) > 30 for line in lines[2:])


def test_settings_are_flat():
    nested = {"a": 1, "b": {"c": "x", "d": None, "e": [1]}, "f": {}, "g": True}
    assert dict(flat(nested)) == {
        "a": 1,
        "b.c": "x",
        "b.d": "null",
        "b.e": "[1]",
        "f": "{}",
        "g": True,
    }


def test_answers_in_a_table_are_escaped():
    row = {"prompt": "a|b\n<i>", "prediction": "*", "target": "", "correct": False}
    assert markdown_table([row]).splitlines()[-1] == (
        "| a\\|b\\\\n\\<i\\> | \\* |  | False |"
    )
