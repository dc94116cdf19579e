"""A Jinja environment for templates that come with a file from somewhere: sandboxed, and bounded in time and memory.

Jinja's sandbox keeps a template from the program's objects, not from looping for ever or making texts of gigabytes
(its documentation says so, “Security Considerations”). Here each loop, call, filter and operator that can take long or
grow counts against a budget. What still takes long in one native call, such as comparing lists nested thousandfold, is
ended by `hard_limit`, together with the process.
"""

from __future__ import annotations

import faulthandler
import functools
import inspect
import operator as operators
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from jinja2 import nodes, pass_context
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

MOST_SECONDS = 3.0  # of computing; a conversation of 10 000 turns takes 0.1
MOST_TEXT = 16 << 20  # characters in one text; the longest contexts are a quarter of it
MOST_TEXT_MADE = 256 << 20  # characters in all texts together
MOST_NUMBER = 1_000_000  # of a width, a count or an indent
MOST_PRODUCT = 1 << 40  # of two numbers; a text or list may become `MOST_TEXT` long
MOST_PARTS = 500_000  # values inside one value that is written out
HARD_SECONDS = 30.0
_WRITING = frozenset({"format", "tojson", "pprint", "string", "join", "urlencode", "xmlattr", "replace"})
_HUGE_WIDTH = re.compile(r"\d{6,}|\*")


class TemplateLimitError(Exception):
    """A template wants more time or memory than any conversation needs."""


class BoundedEnvironment(ImmutableSandboxedEnvironment):
    """Compiles templates whose rendering is bounded; call `begin` before each. One thread at a time."""

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self) -> None:
        super().__init__(
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=[loopcontrols, _GenerationTag],
            optimized=False,  # constants would be computed while compiling
            finalize=self._written,
        )
        self.begin()
        del self.globals["lipsum"]
        tables: list[dict[str, Any]] = [self.filters, self.tests]
        for table in tables:
            table.update({name: self.bounded(name, work) for name, work in table.items()})
        self.filters |= {"_step": pass_context(lambda _context, value: self.step()), "_joined": self._joined}
        self.concat = self._concatenated  # type: ignore[method-assign]

    def begin(self) -> None:
        """A rendering begins, with a whole budget."""
        self._until = time.thread_time() + MOST_SECONDS
        self._text_left = MOST_TEXT_MADE

    def step(self) -> str:
        """Something that a template can repeat was done."""
        if time.thread_time() > self._until:
            raise TemplateLimitError(f"it takes more than {MOST_SECONDS:g} seconds")
        return ""

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree: nodes.Template = _Counting().visit(super()._parse(source, name, filename))
        return tree

    def call(self, context: Any, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        """See `SandboxedEnvironment.call`."""
        if not self.is_safe_callable(function):
            raise SecurityError("it calls what it must not")
        owner = getattr(inspect.unwrap(function), "__self__", None)
        if not isinstance(owner, str):  # a macro, a global
            return self._measured("", context.call, function, *args, **kwargs)
        return self._measured(function.__name__, lambda _text, *a, **k: function(*a, **k), owner, *args, **kwargs)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """See `SandboxedEnvironment.call_binop`."""
        self.step()
        is_long = isinstance(left, str | list | tuple) or isinstance(right, str | list | tuple)
        if operator == "*" and _size(left) * _size(right) > (MOST_TEXT if is_long else MOST_PRODUCT):
            raise TemplateLimitError("it repeats or multiplies too much")
        if operator == "**" and (_size(right) > 64 or _size(left) > MOST_NUMBER):
            raise TemplateLimitError("it raises a number to a huge power")
        if operator == "%" and isinstance(left, str):
            return self._measured("format", operators.mod, left, right)
        return self._charged(super().call_binop(context, operator, left, right))

    def _expect_no_width(self, layout: str) -> None:
        if _HUGE_WIDTH.search(layout):
            raise TemplateLimitError("it pads a text to a huge width")

    def bounded(self, name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        """The same filter or test, charged for."""
        return functools.wraps(work)(functools.partial(self._measured, name, work))

    def _measured(self, name: str, work: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call with bounded arguments, and charge for the text it makes."""
        self.step()
        values = [*args, *kwargs.values()]
        if any(isinstance(value, int) and abs(value) > MOST_NUMBER for value in values):
            raise TemplateLimitError("it asks for a huge number of something")
        if name in _WRITING:
            for value in values:
                self._written(value)
        if name == "format":
            self._expect_no_width(next(value for value in values if isinstance(value, str)))
        if name == "translate" or _most_made(name, values) > MOST_TEXT:
            raise TemplateLimitError("it makes a text that is too long")
        return self._charged(work(*args, **kwargs))

    def _charged(self, value: Any) -> Any:
        if isinstance(value, str | list | tuple):
            self._charge(len(value))
        return value

    def _charge(self, length: int) -> None:
        self._text_left -= length
        if length > MOST_TEXT or self._text_left < 0:
            raise TemplateLimitError("it makes a text that is too long")

    def _joined(self, values: Iterable[Any]) -> str:
        return self._concatenated(str(self._written(value)) for value in values)

    def _concatenated(self, parts: Iterable[str]) -> str:
        kept: list[str] = []
        for part in parts:
            self._charge(len(part))
            kept.append(part)
        return "".join(kept)

    def _written(self, value: Any) -> Any:
        """A value that is about to become text: few enough parts for that."""
        if isinstance(value, list | tuple | Mapping) and sum(1 for _ in _parts(value, MOST_PARTS)) >= MOST_PARTS:
            raise TemplateLimitError("it writes out a value that is too large")
        return value


@contextmanager
def hard_limit() -> Iterator[None]:
    """While entered, this process ends if it takes longer: a C thread sees to it, also in the middle of native code."""
    faulthandler.dump_traceback_later(HARD_SECONDS, exit=True)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()


class _Counting(NodeTransformer):
    """Puts a step into each loop, and joins texts by a filter, which can be bounded as an operator cannot."""

    def visit_For(self, node: nodes.For) -> nodes.Node:
        self.generic_visit(node)
        step = nodes.Filter(nodes.Const(""), "_step", [], [], None, None, lineno=node.lineno)
        node.body.insert(0, nodes.Output([step], lineno=node.lineno))
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        self.generic_visit(node)
        parts = nodes.List(node.nodes, lineno=node.lineno)
        return nodes.Filter(parts, "_joined", [], [], None, None, lineno=node.lineno)


class _GenerationTag(Extension):
    """Reads ``{% generation %}``, which only trainers need, as plain content."""

    tags = {"generation"}  # noqa: RUF012 - declared so by its base class

    def parse(self, parser: Any) -> nodes.Node | list[nodes.Node]:
        next(parser.stream)
        body: list[nodes.Node] = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return body


def _size(value: Any) -> int:
    """Length of a text or list; of a number itself, as far as that goes."""
    if isinstance(value, str | list | tuple):
        return len(value)
    return min(abs(value), MOST_PRODUCT) if isinstance(value, int) else 1


def _most_made(name: str, values: list[Any]) -> int:
    """Most characters that a call can make of short arguments; 0 where the result cannot be longer than they are."""
    texts = [value for value in values if isinstance(value, str)]
    number = max((abs(value) for value in values if isinstance(value, int)), default=4)
    if name == "replace" and len(texts) > 2:
        return (texts[0].count(texts[1]) + 1) * len(texts[2])
    if name == "join":
        parts = next((value for value in values if isinstance(value, list | tuple)), ())
        return sum(len(part) for part in parts if isinstance(part, str)) + len(parts) * max(map(len, texts), default=0)
    if name == "format" and texts:
        parts = [part for value in values for part in (value if isinstance(value, list | tuple) else [value])]
        longest = max((len(part) for part in parts[1:] if isinstance(part, str)), default=0)
        return (texts[0].count("%") + texts[0].count("{")) * longest
    if name in ("indent", "expandtabs") and texts:
        return (texts[0].count("\n") + texts[0].count("\t") + 1) * max(number, *map(len, texts[1:]), 0)
    return number * 1_000 if name == "tojson" and number > 1_000 else 0


def _parts(value: Any, most: int) -> Iterator[Any]:
    waiting = [value]
    while waiting and most > 0:
        each = waiting.pop()
        most -= 1
        yield each
        if isinstance(each, Mapping):
            waiting.extend(list(each.values())[:most])
        elif isinstance(each, list | tuple):
            waiting.extend(each[:most])
