"""Errors in the user's input."""

LONGEST_MESSAGE = 1000  # characters; a message may quote input of any length


def shortened(text: str, most: int = LONGEST_MESSAGE) -> str:
    """Shorten a text to at most `most` characters by cutting its middle.

    Messages begin with the place and end with the problem, so both are kept.
    """
    if len(text) <= most:
        return text
    head = most * 2 // 3
    return f"{text[:head]} … {text[head + 3 - most :]}"


class UserError(Exception):
    """A mistake of the user, printed by the command line in one line.

    Args:
        message: place, value and problem; see `shortened`.
        fix: what to do; printed after the message.
        exit_code: 1 for problems found in the input, 2 when the command cannot run.
    """

    def __init__(self, message: str, fix: str = "", *, exit_code: int = 2) -> None:
        message, fix = shortened(message), shortened(fix)
        super().__init__(f"{message}; {fix}" if fix else message)
        self.message = message
        self.fix = fix
        self.exit_code = exit_code
