"""`xlmgen` and `python -m xlmgen`."""

import os
import sys


def main() -> int:
    """Run the command line; Ctrl-C is one line while its modules are imported too."""
    try:
        if "XLMGEN_SWEEP_PROCESS" in os.environ:
            from xlmgen.sweeps.lifeline import end_with_parent

            end_with_parent()
        from xlmgen import cli

        return cli.main()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
