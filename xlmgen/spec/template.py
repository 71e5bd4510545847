"""Texts made of columns: `Q: {question}`, and nothing that could be executed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from string import Formatter


@dataclass(frozen=True)
class Template:
    """A text with names of columns in it.

    Args:
        parts: literal text and the column behind it, None behind the last.
    """

    parts: tuple[tuple[str, str | None], ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it names, each once."""
        return tuple(dict.fromkeys(name for _, name in self.parts if name))

    def fill(self, texts: Mapping[str, str]) -> str:
        """The text with every name replaced by that column's text."""
        return "".join(
            literal + ("" if name is None else texts[name])
            for literal, name in self.parts
        )

    @classmethod
    def column(cls, name: str) -> Template:
        """The template of a column's own text."""
        return cls((("", name),))

    @classmethod
    def parse(cls, text: str) -> Template:
        """Read a template as a person writes it.

        Raises:
            ValueError: a brace without its partner, or more than a name between two;
                the message says what is wrong with it.
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
