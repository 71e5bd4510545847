"""Check of the characters of a text."""

from __future__ import annotations

from xlmgen.errors import UserError


def refuse_surrogates(text: str, place: str) -> None:
    """Refuse a text with an unpaired surrogate, which JSON allows and UTF-8 does not.

    Args:
        text: any text.
        place: location of the text, for the error.

    Raises:
        UserError: names the first unpaired surrogate and its position.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        code = ord(text[error.start])
        raise UserError(
            f"{place}: \\u{code:04x} at character {error.start} is an unpaired "
            "surrogate, not a character",
            "the text was cut inside a character; complete the character or remove it",
        ) from None
