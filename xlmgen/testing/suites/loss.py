"""What every loss promises."""

from __future__ import annotations

from xlmgen.testing.subject import FamilyTests


class LossTests(FamilyTests):
    def test_loss_is_made_from_special_tokens(self) -> None:
        assert callable(self.family.loss(self.tokens))


class LikelihoodTests(FamilyTests):
    pass


class DiffusionBoundTests(FamilyTests):
    pass


class SelectedTokensTests(FamilyTests):
    pass
