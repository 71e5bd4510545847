"""Compare mathematical answers: a process started by `xlmgen.evaluation.mathematics`.

It reads JSON from its standard input: `pairs` of answer and target, and the limits. For
every pair it writes a line, `1` or `0`. Each pair is compared in a sandboxed process of
its own, which is killed when its time is up.
"""

import json
import os
import select
import signal
import sys
from pathlib import Path
from typing import Any


def main() -> None:
    sys.path.append(str(Path(__file__).parents[2]))
    from xlmgen.evaluation.confine import confine, limit

    sys.path.pop()
    request = json.load(sys.stdin)
    equal(
        "$x^2$", "$x \\cdot x$"
    )  # triggers the lazy imports of math-verify before the sandbox
    for answer, target in request["pairs"]:
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            try:
                limit(seconds=request["seconds"], memory=request["memory"])
                if request["confined"]:
                    confine()
            except Exception as error:
                os.write(writing, f"refused {error}".encode())
                os._exit(1)
            os.write(writing, b"1" if equal(answer, target) else b"0")
            os._exit(0)
        os.close(writing)
        ready, _, _ = select.select([reading], [], [], request["wall"])
        verdict = os.read(reading, 200) if ready else b"0"
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(reading)
        print(verdict.decode(errors="replace") or "0", flush=True)


def equal(answer: str, target: str) -> bool:
    """Whether two texts are mathematically equal, by math-verify."""
    from math_verify import parse, verify

    found: list[Any] = [parse(text, parsing_timeout=None) for text in (answer, target)]
    return bool(verify(found[1], found[0], timeout_seconds=None))


if __name__ == "__main__":
    main()
