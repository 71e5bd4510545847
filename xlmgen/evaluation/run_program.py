"""Run one program in a sandboxed process, started by `xlmgen.evaluation.sandbox`.

It reads a request from its standard input, as JSON: `code`; `call`, a function to call
without arguments, or null; and the limits. It writes to the file descriptor in its
first argument: `ready`, when the sandbox is in force and before it reads the code, then
one JSON object with the `value` and its `type`, or the `error`. The program itself may
have written anything after `ready`, so do not trust it.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

LONGEST_VALUE = 1000  # most characters of a value or error


def main() -> None:
    answer = int(sys.argv[1])
    request = json.load(sys.stdin)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    try:
        enter_sandbox(request)
    except Exception as error:
        os.write(answer, f"refused {error}".encode())
        return
    os.write(answer, b"ready\n")
    os.write(answer, json.dumps(outcome(request["code"], request["call"])).encode())
    sys.stdout.flush()


def enter_sandbox(request: dict[str, Any]) -> None:
    """Limit and confine this process."""
    sys.path.append(str(Path(__file__).parents[2]))
    from xlmgen.evaluation.confine import confine, limit

    sys.path.pop()
    limit(seconds=request["seconds"], memory=request["memory"])
    if request["confined"]:
        confine()


def outcome(code: str, call: str | None) -> dict[str, str]:
    """Execute the code: value and type of the call, or the error."""
    space: dict[str, Any] = {"__name__": "program"}
    try:
        exec(compile(code, "<program>", "exec"), space)
        value = space[call]() if call else None
        return {"type": type(value).__name__, "value": str(value)[:LONGEST_VALUE]}
    except BaseException as error:
        return {"error": f"{type(error).__name__}: {error}"[:LONGEST_VALUE]}


if __name__ == "__main__":
    main()
