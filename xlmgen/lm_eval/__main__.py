"""`python -m xlmgen.lm_eval`: the command of lm-evaluation-harness, with our model."""

from __future__ import annotations

import importlib.util
import sys

from xlmgen.errors import UserError
from xlmgen.terminal.output import say


def main() -> int:
    """Run the command line of lm_eval, in which `--model xlmgen` is known.

    Returns:
        2 for a mistake of the user, shown on one line.
    """
    try:
        if importlib.util.find_spec("lm_eval") is None:
            raise UserError(
                "lm-evaluation-harness is not installed",
                "pip install 'xlmgen[lm-eval]'",
            )
        from lm_eval.__main__ import cli_evaluate

        import xlmgen.lm_eval.model  # noqa: F401  (registers the model)

        cli_evaluate()
    except UserError as error:
        say(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
