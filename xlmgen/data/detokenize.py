"""Corpora that were published in pieces, put together to text again.

The rules are those that published perplexities on these corpora rest on (Megatron's for
PTB and WikiText, SEDD's and MDLM's for LM1B), in their order: a perplexity compares
with theirs only where the text is the same. What they leave apart stays apart.
"""

import re
from collections.abc import Iterator

Rule = tuple[re.Pattern[str], str]


def detokenize(text: str, style: str) -> str:
    """The text as it would be written, by the rules of a corpus.

    Args:
        text: pieces with spaces between them.
        style: a key of `STYLES`.
    """
    for pattern, replacement in STYLES[style]:
        text = pattern.sub(replacement, text)
    return text


def _rule(pattern: str, replacement: str) -> Rule:
    return re.compile(pattern), replacement


def _words(*pairs: tuple[str, str]) -> Iterator[Rule]:
    """Rules for texts that stand for themselves."""
    for old, new in pairs:
        yield re.compile(re.escape(old)), new.replace("\\", r"\\")


def _closing(marks: str) -> Iterator[Rule]:
    """Marks that belong to what is in front of them: `a , b` is `a, b`."""
    yield from _words(*((f" {mark} ", f"{mark} ") for mark in marks))


def _lm1b() -> Iterator[Rule]:
    yield from _words(("http : / / ", "http://"), ("https : / / ", "https://"))
    yield _rule(r" '(\w+)", r"'\1")  # a contraction
    yield _rule(r" (\w+) \. ", r" \1. ")
    yield _rule(r" (\w+) \.$", r" \1.")
    for mark in "?!":
        yield from _closing(mark)
        yield _rule(rf" \{mark}$", mark)
    yield from _closing(",:;")
    yield from _words((" / ", "/"))
    yield _rule(r'" ([^"]+) "', r'"\1"')
    yield _rule(r"' ([^']+) '", r"'\1'")
    yield _rule(r"\( ([^()]+) \)", r"(\1)")
    yield _rule(r"\[ ([^\[\]]+) \]", r"[\1]")
    yield from _words(("$ ", "$"), ("£ ", "£"))


def _ptb() -> Iterator[Rule]:
    yield from _words((" 's", "'s"), ("s ' ", "s' "), (" n't", "n't"))
    yield from _words((" \n ", "\n"), ("\\/", "/"))
    yield _rule(r" N(?= )", " 1")  # a number that was left out
    yield from _words(("$ 1", "$1"), ("# 1", "#1"), ("<unk>", "?"))


def _wikitext() -> Iterator[Rule]:
    yield from _words(("s '", "s'"))
    yield from _words((" @-@ ", "-"), (" @,@ ", ","), (" @.@ ", "."))
    yield from _closing(":;.!?,")
    for opening, closing in ("()", "[]", "{}", '""', "''"):
        start, end = re.escape(opening), re.escape(closing)
        yield _rule(rf"{start}\s*([^{end}]*?)\s*{end}", rf"{opening}\1{closing}")
    yield from _words(("= = = =", "===="), ("= = =", "==="), ("= =", "=="))
    yield from _words((" ° ", "°"), (" \n", "\n"), ("\n ", "\n"), (" N ", " 1 "))
    yield from _words((" 's", "'s"))


STYLES: dict[str, tuple[Rule, ...]] = {
    "lm1b": tuple(_lm1b()),
    "ptb": tuple(_ptb()),
    "wikitext": tuple(_wikitext()),
}
