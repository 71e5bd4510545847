"""Templates of texts with columns, such as `Q: {question}`; they cannot run code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from string import Formatter


@dataclass(frozen=True)
class Template:
    """A text with column names in it.

    Args:
        parts: literal text and the column that follows it; None after the last text.
    """

    parts: tuple[tuple[str, str | None], ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it names, without repetition."""
        return tuple(dict.fromkeys(name for _, name in self.parts if name))

    def fill(self, texts: Mapping[str, str]) -> str:
        """Replace every name by that column's text."""
        return "".join(
            literal + ("" if name is None else texts[name])
            for literal, name in self.parts
        )

    @classmethod
    def column(cls, name: str) -> Template:
        """Return the template of a column's own text."""
        return cls((("", name),))

    @classmethod
    def parse(cls, text: str) -> Template:
        """Parse a template.

        Raises:
            ValueError: a brace is unmatched, or braces hold more than a name; the
                message describes the problem.
        """
        parts: list[tuple[str, str | None]] = []
        try:
            for literal, name, form, conversion in Formatter().parse(text):
                if name == "" or form or conversion:
                    raise ValueError("there is more or less than a column's name in {}")
                parts.append((literal, name))
        except ValueError as error:
            said = str(error)
            if said.startswith(("Single", "expected", "unmatched", "unexpected")):
                said = "a brace has no partner"
            raise ValueError(said) from error
        return cls(tuple(parts))
