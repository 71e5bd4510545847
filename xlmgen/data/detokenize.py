"""Detokenisers of corpora that were published as separate tokens.

The rules and their order are those behind published perplexities on these corpora
(Megatron's for PTB and WikiText, SEDD's and MDLM's for LM1B): perplexities are
comparable only for the same text. Their omissions are kept for the same reason.
"""

import re
from collections.abc import Iterator

Rule = tuple[re.Pattern[str], str]


def detokenize(text: str, style: str) -> str:
    """Detokenise a text by the rules of a corpus.

    Args:
        text: tokens with spaces between them.
        style: a key of `STYLES`.
    """
    for pattern, replacement in STYLES[style]:
        text = pattern.sub(replacement, text)
    return text


def _rule(pattern: str, replacement: str) -> Rule:
    return re.compile(pattern), replacement


def _words(*pairs: tuple[str, str]) -> Iterator[Rule]:
    """Rules that replace literal texts."""
    for old, new in pairs:
        yield re.compile(re.escape(old)), new.replace("\\", r"\\")


def _closing(marks: str) -> Iterator[Rule]:
    """Rules that attach marks to the preceding word: `a , b` becomes `a, b`."""
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
    yield _rule(r" N(?= )", " 1")  # PTB writes N for every number
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
