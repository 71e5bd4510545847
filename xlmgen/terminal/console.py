"""Console of all commands, on which untrusted text has no effect."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from xlmgen.terminal.escape import terminal, terminal_lines


class SafeConsole(Console):
    """A rich console without markup that escapes control characters.

    A printed string or `Text` is one line. Everything drawn, such as cells of tables
    and progress bars, has no control characters except those of its styles.

    Args:
        options: of rich's console.
    """

    def __init__(self, **options: Any) -> None:
        plain = {"markup": False, "emoji": False, "highlight": False}
        super().__init__(**(plain | options))

    def print(self, *objects: Any, **options: Any) -> None:
        super().print(*map(_one_line, objects), **options)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else terminal_lines(text), style, control)


def _one_line(value: Any) -> Any:
    if isinstance(value, str):
        return terminal(value)
    if isinstance(value, Text) and "\n" in value.plain:
        line = Text("\\n").join(value.split("\n", allow_blank=True))
        line.style = value.style
        return line
    return value
