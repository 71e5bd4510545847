"""What goes wrong because of the user's input, said so that the user can mend it."""

LONGEST_MESSAGE = 1000  # characters; what is longer holds something of the user's whole


def shortened(text: str, most: int = LONGEST_MESSAGE) -> str:
    """A text of at most `most` characters: what is too much in the middle is left out.

    A long message begins with its place and ends with what is wrong.
    """
    if len(text) <= most:
        return text
    head = most * 2 // 3
    return f"{text[:head]} … {text[head + 3 - most :]}"


class UserError(Exception):
    """A mistake of the user's: the command line prints it as one line and exits.

    Args:
        message: what is wrong, with the place and the value; see `shortened`.
        fix: what to do about it; printed after the message.
        exit_code: 1 for problems found in the input, 2 when the command cannot run.
    """

    def __init__(self, message: str, fix: str = "", *, exit_code: int = 2) -> None:
        message, fix = shortened(message), shortened(fix)
        super().__init__(f"{message}; {fix}" if fix else message)
        self.message = message
        self.fix = fix
        self.exit_code = exit_code
