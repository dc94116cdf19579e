"""HTML → readable text: headings, lists, tables and code as Markdown; scripts, styles and hidden parts left out."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_NO_TEXT = (
    "script style noscript template iframe object embed svg canvas head title meta link button input select textarea "
    "dialog audio video map"
)
_DROPPED = frozenset(_NO_TEXT.split())
_AROUND = ("nav", "aside", "footer", "header", "form")
_AROUND_ROLES = ("navigation", "banner", "contentinfo", "complementary", "search")
_OWN_LINES = (
    "address article aside blockquote body dd details div dl dt fieldset figcaption figure footer form header hgroup "
    "html li main nav ol p section summary ul h1 h2 h3 h4 h5 h6 pre table hr caption center"
)
_BLOCKS = frozenset(_OWN_LINES.split())
_CODE_CLASS = re.compile(r"(?:^|\s)(?:language|lang|highlight-source)-([\w+#.-]{1,30})(?=\s|$)")
_HEADING = re.compile(r"h([1-6])$")
_SPACE = re.compile(r"[ \t\r\n\f\v\xa0]+")
_ITEM = re.compile(r"\s*(?:-|\d+\.) ")
_ENOUGH = 200
"""Characters in ``main`` or ``article`` from which it is taken for the page's content."""


@dataclass
class Page:
    """A page's text and facts.

    Attributes:
        title: Its title; empty when it has none.
        language: What the page says its language is.
        blocks: (heading path, text) in order; headings are blocks of their own, as Markdown.
    """

    title: str
    language: str
    blocks: list[tuple[tuple[str, ...], str]] = field(default_factory=list)

    @property
    def text(self) -> str:
        """All blocks."""
        return joined(text for _, text in self.blocks)


def read_html(html: str, *, is_whole: bool = False, links: bool = False) -> Page:
    """Read a page.

    Args:
        html: Its source.
        is_whole: Take everything, navigation and footers too, and not only the main content.
        links: Write links as Markdown.
    """
    from selectolax.lexbor import LexborHTMLParser

    tree = LexborHTMLParser(html)
    title_node = tree.css_first("title") or tree.css_first("h1")
    title = _SPACE.sub(" ", title_node.text()).strip() if title_node else ""
    root = tree.root
    language = (root.attributes.get("lang") or "") if root is not None and root.is_element_node else ""
    start = tree.body or root
    if start is None:
        return Page(title, language)
    if not is_whole:
        start = _content(tree, start)
    return Page(title, language, list(_Writer(links).blocks(start)))


def _content(tree: Any, body: Any) -> Any:
    """The part that holds the content: ``main``, a single ``article``, else the body without what lies around it."""
    for query in ("main", "[role=main]", "article"):
        found = tree.css(query)
        if len(found) == 1 and len(found[0].text().strip()) >= _ENOUGH:
            return found[0]
    roles = ", ".join(f"[role={role}]" for role in _AROUND_ROLES)
    around = [n for n in tree.css(", ".join((*_AROUND, roles))) if not _is_in_content(n)]
    if len(body.text().strip()) - sum(len(n.text().strip()) for n in around) >= _ENOUGH // 4:
        for node in around:
            node.decompose()
    return body


def _is_in_content(node: Any) -> bool:
    """An article's own header is content; nested ones go with the outermost."""
    parent = node.parent
    while parent is not None:
        if parent.tag in ("article", "main", *_AROUND):
            return True
        parent = parent.parent
    return False


def _code_language(pre: Any) -> str:
    """Read the language of code from the classes by which pages colour it (``language-python``, ``highlight-source-js``)."""
    inner = pre.css_first("code")
    classes = " ".join((node.attributes.get("class") or "") for node in (pre, inner, pre.parent) if node is not None)
    match = _CODE_CLASS.search(classes)
    return match[1] if match else ""


class _Writer:
    """Walks the nodes without recursion (pages nest thousands deep) and gathers blocks."""

    def __init__(self, links: bool) -> None:
        self._links = links
        self._line: list[str] = []
        self._lists: list[int | None] = []
        self._path: list[str] = []
        self._pre = 0
        self._language = ""
        self._prefix = ""

    def blocks(self, start: Any) -> Iterator[tuple[tuple[str, ...], str]]:
        """Yield the blocks below a node."""
        stack: list[tuple[Any, bool]] = [(start, False)]
        while stack:
            node, is_end = stack.pop()
            tag = node.tag
            if is_end:
                yield from self._close(node, tag)
                continue
            if node.is_text_node:
                self._text(node.text_content or "")
                continue
            if not node.is_element_node or tag in _DROPPED or _is_hidden(node):
                continue
            yield from self._open(node, tag)
            if tag == "table" and not node.css_first("table table"):
                if table := _table(node):
                    yield tuple(self._path), table
                continue
            stack.append((node, True))
            children = []
            child = node.child
            while child is not None:
                children.append((child, False))
                child = child.next
            stack.extend(reversed(children))
        yield from self._flush()

    def _text(self, text: str) -> None:
        self._line.append(text if self._pre else _SPACE.sub(" ", text))

    def _open(self, node: Any, tag: str) -> Iterator[tuple[tuple[str, ...], str]]:
        if tag in _BLOCKS:
            yield from self._flush()
        if tag in ("ul", "ol"):
            self._lists.append(0 if tag == "ol" else None)
        elif tag == "li":
            self._prefix = self._bullet()
        elif tag == "pre":
            self._pre += 1
            self._language = _code_language(node)
        elif tag == "br":
            self._line.append("\n")
        elif tag == "img" and (alt := (node.attributes.get("alt") or "").strip()):
            self._line.append(f"[{alt}]")
        elif tag == "a" and self._links and node.attributes.get("href"):
            self._line.append("[")
        elif tag in ("td", "th"):
            self._line.append(" ")

    def _close(self, node: Any, tag: str) -> Iterator[tuple[tuple[str, ...], str]]:
        if tag == "a" and self._links and (href := node.attributes.get("href")):
            self._line.append(f"]({href})")
        elif heading := _HEADING.match(tag or ""):
            yield from self._heading(int(heading[1]))
        elif tag == "pre":
            yield from self._flush(code=True)
            self._pre -= 1
        elif tag in _BLOCKS or tag == "tr":
            yield from self._flush()
        if tag in ("ul", "ol") and self._lists:
            self._lists.pop()

    def _bullet(self) -> str:
        indent = "  " * max(0, len(self._lists) - 1)
        if not self._lists or self._lists[-1] is None:
            return f"{indent}- "
        self._lists[-1] += 1
        return f"{indent}{self._lists[-1]}. "

    def _heading(self, level: int) -> Iterator[tuple[tuple[str, ...], str]]:
        text = self._take()
        if text:
            self._path = [*self._path[: level - 1], text]
            yield tuple(self._path), f"{'#' * level} {text}"

    def _flush(self, *, code: bool = False) -> Iterator[tuple[tuple[str, ...], str]]:
        prefix, self._prefix = self._prefix, ""
        if self._pre:
            text = "".join(self._line).strip("\n")
            self._line = []
            if text.strip():
                yield tuple(self._path), f"```{self._language}\n{text}\n```" if code else text
        elif text := self._take():
            yield tuple(self._path), prefix + text.replace("\n", f"\n{' ' * len(prefix)}")
        else:
            self._prefix = prefix

    def _take(self) -> str:
        lines = "".join(self._line).split("\n")
        self._line = []
        return "\n".join(_SPACE.sub(" ", line).strip() for line in lines).strip()


def _is_hidden(node: Any) -> bool:
    attributes = node.attributes
    style = (attributes.get("style") or "").replace(" ", "").lower()
    return "hidden" in attributes or "display:none" in style or "visibility:hidden" in style


def _table(node: Any) -> str:
    rows = [[_cell(cell) for cell in row.css("th, td")] for row in node.css("tr")]
    rows = [row for row in rows if any(row)]
    return markdown_table(rows) if rows and max(map(len, rows)) > 1 else "\n".join(row[0] for row in rows if row)


def _cell(node: Any) -> str:
    return _SPACE.sub(" ", node.text(separator=" ")).strip()


def joined(blocks: Iterable[str]) -> str:
    """Join blocks by empty lines; the items of a list stay together."""
    pieces: list[str] = []
    was_item = False
    for block in blocks:
        is_item = _ITEM.match(block) is not None
        pieces += ["\n" if is_item and was_item else "\n\n", block]
        was_item = is_item
    return "".join(pieces[1:])


def markdown_table(rows: list[list[str]]) -> str:
    """Write rows as a Markdown table; the first is the heading."""
    width = max(map(len, rows))
    lines = [[cell.replace("|", "\\|").replace("\n", " ") for cell in row] + [""] * (width - len(row)) for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in (lines[0], ["---"] * width, *lines[1:]))
