# Rendered by xlmgen from family.yaml. Change the YAML and run `xlmgen new family.yaml`,
# or edit this file: xlmgen never overwrites an edit.
"""Test the predictor's samples against exact distributions."""

from pathlib import Path

from xlmgen.testing import AnyOrderTests, LearningTests, PredictorTests


class TestAoArmPredictor(PredictorTests, AnyOrderTests, LearningTests):
    folder = Path(__file__).parents[1]
