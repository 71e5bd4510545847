"""Special tokens that share an id."""

from xlmgen.tokens import SpecialTokens


def test_what_is_named_is_never_generated():
    assert SpecialTokens().never("pad", "bos", "mask", "cls") == (0, 1, 3, 4)


def test_end_can_be_generated_whatever_shares_its_id():
    tokens = SpecialTokens(pad=2, bos=2, eos=2, mask=3, cls=4, vocab_size=8)
    assert tokens.never("pad", "bos", "mask", "cls") == (3, 4)
