"""What a text may be made of."""

from __future__ import annotations

from xlmgen.errors import UserError


def refuse_surrogates(text: str, place: str) -> None:
    """Refuse a text with half of a surrogate pair, which JSON can hold and UTF-8 not.

    Args:
        text: any text.
        place: where it stands, for the error.

    Raises:
        UserError: names the first one and its position.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        code = ord(text[error.start])
        raise UserError(
            f"{place}: \\u{code:04x} at character {error.start} is half of a surrogate "
            "pair, and no character",
            "the text was cut inside a character; write all of it, or leave it out",
        ) from None
