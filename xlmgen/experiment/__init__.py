"""Experiments: one YAML file with every default filled in and overrides applied."""

from xlmgen.experiment.resolve import resolve
from xlmgen.experiment.settings import Evaluation, Experiment, Training

__all__ = ["Evaluation", "Experiment", "Training", "resolve"]
