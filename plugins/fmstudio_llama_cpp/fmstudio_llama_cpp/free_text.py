"""Grammar rules for text that is free but for one mark, which ends it."""

from __future__ import annotations

PLAIN = r"[^<\x00-\x08\x0B-\x1F\x7F]"
"""A character that begins no mark and no control code."""


def text_without(mark: str, name: str) -> dict[str, str]:
    """Rules for any text that does not hold a mark: one for each beginning of it that may just have been written.

    Args:
        mark: Begins with ``<``, which does not come again in it.
        name: Of the rules; the first, ``{name}0``, is the text.
    """
    rules = {f"{name}0": f'"" | {PLAIN} {name}0 | "<" {name}1'}
    for n in range(1, len(mark)):
        further = f' | "{mark[n]}" {name}{n + 1}' if n + 1 < len(mark) else ""
        rules[f"{name}{n}"] = f'"" | {PLAIN[:-1]}{mark[n]}] {name}0 | "<" {name}1{further}'
    return rules


def after_text(grammar: str, end: str) -> str:
    """The grammar for free text up to a mark, and then what a grammar demands.

    Args:
        grammar: Its first rule is ``root``.
    """
    rules = "\n".join(f"{name} ::= {body}" for name, body in text_without(end, "before").items())
    demanded = grammar.replace("root ::=", "demanded ::=", 1)
    return f'root ::= before0 "{end}" "\\n"{{0,2}} demanded\n{rules}\n{demanded}'
