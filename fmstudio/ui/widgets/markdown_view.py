"""`MarkdownView`: shows Markdown that may still be growing, re-rendering only its last block.

Text stays selectable, code blocks scroll sideways and can be copied, formulas are drawn. Raw HTML is shown as text and no
image is ever loaded: what a model writes must not reach the network or the disk.
"""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QSizePolicy, QVBoxLayout, QWidget

from fmstudio.ui.widgets.code_block import CodeBlock
from fmstudio.ui.widgets.markdown_parts import Segment, split_from
from fmstudio.ui.widgets.prose_view import ProseView


class MarkdownView(QWidget):
    """Markdown as a column of prose and code blocks, exactly as tall as it needs to be.

    Signals:
        height_changed(): The text grew or shrank.
    """

    height_changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._views: list[ProseView | CodeBlock] = []
        self._segments: list[Segment] = []
        self._source = ""
        self._settled = 0
        self._settled_end = 0
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(8)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)

    @property
    def source(self) -> str:
        """The Markdown shown."""
        return self._source

    def set_source(self, source: str, *, is_final: bool = True) -> None:
        """Show `source`; call with ``is_final=False`` while it is still growing."""
        if not (self._source and source.startswith(self._source)):
            self._settled = self._settled_end = 0
        self._source = source
        # What stands before the last closed code block is neither read nor compared again.
        fresh, closed, end = split_from(source, self._settled_end)
        for place, segment in enumerate(fresh, self._settled):
            self._show(place, segment, is_final=is_final)
        self._segments[self._settled :] = fresh
        self._drop_views(len(self._segments))
        self._settled, self._settled_end = self._settled + closed, end
        self.height_changed.emit()

    def set_plain(self, text: str) -> None:
        """Show text exactly as it is, without reading it as Markdown."""
        self._source = text
        self._settled = self._settled_end = 0
        has_prose = bool(self._views) and isinstance(self._views[0], ProseView)
        view = self._views[0] if has_prose else self._replace(0, Segment(False, text))
        if isinstance(view, ProseView):
            view.setPlainText(text)
        self._drop_views(1)
        self._segments = []
        self.height_changed.emit()

    def _show(self, place: int, segment: Segment, *, is_final: bool) -> None:
        if place < len(self._segments) and self._segments[place] == segment and segment.is_closed:
            return
        view = self._views[place] if place < len(self._views) else None
        if view is None or isinstance(view, CodeBlock) != segment.is_code:
            view = self._replace(place, segment)
        if isinstance(view, CodeBlock):
            view.show_code(segment.text, segment.language, is_closed=is_final or segment.is_closed)
        else:
            view.show_source(segment.text, is_final=is_final or segment.is_closed)

    def _replace(self, place: int, segment: Segment) -> ProseView | CodeBlock:
        self._drop_views(place)
        view = CodeBlock() if segment.is_code else ProseView()
        self._views.append(view)
        self._layout.addWidget(view)
        return view

    def _drop_views(self, count: int) -> None:
        while len(self._views) > count:
            view = self._views.pop()
            view.hide()
            view.deleteLater()
