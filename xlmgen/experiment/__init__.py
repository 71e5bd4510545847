"""Experiments: YAML files with overrides applied and defaults filled in."""

from xlmgen.experiment.resolve import resolve
from xlmgen.experiment.settings import Evaluation, Experiment, Training

__all__ = ["Evaluation", "Experiment", "Training", "resolve"]
