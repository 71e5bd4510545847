"""Console of all commands, on which untrusted text has no effect."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from xlmgen.terminal.escape import terminal, terminal_lines
from xlmgen.terminal.wrap import breaks, indent_of


class SafeConsole(Console):
    """A rich console without markup that escapes control characters.

    A printed string or `Text` is one line. In a terminal it is wrapped at words, unless
    `soft_wrap=True` keeps it as it is; elsewhere nothing is wrapped. Everything drawn,
    such as cells of tables and progress bars, has no control characters except those of
    its styles.

    Args:
        options: of rich's console.
    """

    def __init__(self, **options: Any) -> None:
        plain = {"markup": False, "emoji": False, "highlight": False}
        super().__init__(**(plain | options))

    def print(self, *objects: Any, **options: Any) -> None:
        shown = list(map(_one_line, objects))
        if len(shown) == 1 and isinstance(shown[0], str | Text):
            if self.is_terminal and not options.get("soft_wrap"):
                shown = [wrapped(shown[0], self.width)]
            options["soft_wrap"] = True
        super().print(*shown, **options)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else terminal_lines(text), style, control)


def wrapped(line: str | Text, width: int) -> Text:
    """Wrap a line at words, see `xlmgen.terminal.wrap`."""
    text = Text(line) if isinstance(line, str) else line
    starts = breaks(text.plain, width)
    if not starts:
        return text
    indent = " " * indent_of(text.plain)
    parts = text.divide(starts)
    for part in parts:
        part.rstrip()
    result = Text(f"\n{indent}").join(parts)
    result.style = text.style
    return result


def _one_line(value: Any) -> Any:
    if isinstance(value, str):
        return terminal(value)
    if isinstance(value, Text) and "\n" in value.plain:
        line = Text("\\n").join(value.split("\n", allow_blank=True))
        line.style = value.style
        return line
    return value
