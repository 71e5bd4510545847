"""What goes wrong because of the user's input, said so that the user can mend it."""


class UserError(Exception):
    """A mistake of the user's: the command line prints it as one line and exits.

    Args:
        message: what is wrong, with the place and the value.
        fix: what to do about it; printed after the message.
        exit_code: 1 for problems found in the input, 2 when the command cannot run.
    """

    def __init__(self, message: str, fix: str = "", *, exit_code: int = 2) -> None:
        super().__init__(f"{message}; {fix}" if fix else message)
        self.message = message
        self.fix = fix
        self.exit_code = exit_code
