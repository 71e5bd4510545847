"""Run one program in a process that is shut in: started by `xlmgen.evaluation.sandbox`.

It reads a request from its standard input, as JSON: `code`; `call`, a function to call
without arguments, or null; and the limits. It writes to the descriptor that its first
argument names: `ready`, once it is shut in and before it looks at the code, then one
JSON object with the `value` and its `type`, or the `error`. What comes after `ready`
may be of the program's making and proves nothing.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

LONGEST_VALUE = 1000  # characters


def main() -> None:
    answer = int(sys.argv[1])
    request = json.load(sys.stdin)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    try:
        shut_in(request)
    except Exception as error:
        os.write(answer, f"refused {error}".encode())
        return
    os.write(answer, b"ready\n")
    os.write(answer, json.dumps(outcome(request["code"], request["call"])).encode())
    sys.stdout.flush()


def shut_in(request: dict[str, Any]) -> None:
    """Limit and confine this process."""
    sys.path.append(str(Path(__file__).parents[2]))
    from xlmgen.evaluation.confine import confine, limit

    sys.path.pop()
    limit(seconds=request["seconds"], memory=request["memory"])
    if request["confined"]:
        confine()


def outcome(code: str, call: str | None) -> dict[str, str]:
    """What the code comes to."""
    space: dict[str, Any] = {"__name__": "program"}
    try:
        exec(compile(code, "<program>", "exec"), space)
        value = space[call]() if call else None
        return {"type": type(value).__name__, "value": str(value)[:LONGEST_VALUE]}
    except BaseException as error:
        return {"error": f"{type(error).__name__}: {error}"[:LONGEST_VALUE]}


if __name__ == "__main__":
    main()
