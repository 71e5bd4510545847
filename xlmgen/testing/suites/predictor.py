"""What every predictor promises."""

from __future__ import annotations

from xlmgen.testing.subject import FamilyTests


class PredictorTests(FamilyTests):
    def test_predictor_is_made_from_special_tokens(self) -> None:
        assert callable(self.family.predictor(self.tokens).generate)


class LeftToRightTests(FamilyTests):
    pass


class UnmaskingTests(FamilyTests):
    pass


class AncestralTests(FamilyTests):
    pass


class ConfidenceOrderTests(FamilyTests):
    pass


class GuidanceTests(FamilyTests):
    pass
