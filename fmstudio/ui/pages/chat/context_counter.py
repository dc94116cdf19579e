"""`ContextCounter`: asks the engine how many tokens the next request takes, and what of it is what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from fmstudio.ui.pages.chat.client import EngineClient

DELAY_MS = 400


@dataclass(frozen=True, slots=True)
class ContextUse:
    """Tokens of the next request.

    Attributes:
        total: All of them, chat template included.
        system, attached: Of the system prompt and of the attached files, without the template's own tokens.
        n_ctx: Length of the context.
    """

    total: int
    system: int
    attached: int
    n_ctx: int

    @property
    def history(self) -> int:
        """The turns with the draft and the template's tokens."""
        return max(0, self.total - self.system - self.attached)

    @property
    def free(self) -> int:
        """What is left for the answer."""
        return max(0, self.n_ctx - self.total)


@dataclass(frozen=True, slots=True)
class ToCount:
    """What the next request is made of."""

    messages: list[dict[str, Any]]
    system: str
    attached: str


class ContextCounter(QObject):
    """Counts after a pause in typing; a newer question overtakes an older one.

    Signals:
        counted(ContextUse): What the next request takes.
    """

    counted = Signal(object)

    def __init__(self, ask: Any, parent: QObject) -> None:
        super().__init__(parent)
        self._ask = ask
        self._ticket = 0
        self._known: dict[str, int] = {}
        self._timer = QTimer(self, interval=DELAY_MS, singleShot=True)
        self._timer.timeout.connect(self._begin)

    @Slot()
    def start(self) -> None:
        """Count after a pause."""
        self._timer.start()

    @Slot()
    def _begin(self) -> None:
        found: tuple[EngineClient, ToCount, int] | None = self._ask()
        if found is None:
            self.counted.emit(ContextUse(0, 0, 0, 0))
            return
        client, what, n_ctx = found
        self._ticket += 1
        ticket = self._ticket
        if not what.messages:
            self.counted.emit(ContextUse(0, 0, 0, n_ctx))
            return

        def whole(value: Any) -> None:
            if ticket == self._ticket and isinstance(value, dict):
                total, length = int(value.get("count") or 0), int(value.get("n_ctx") or n_ctx)
                self._split(client, ticket, what, ContextUse(total, 0, 0, length))

        client.post("/tokenize", {"messages": what.messages}, whole, lambda _: None)

    def _split(self, client: EngineClient, ticket: int, what: ToCount, use: ContextUse) -> None:
        texts = [text for text in (what.system, what.attached) if text and text not in self._known]
        if texts:
            self._count_text(client, ticket, what, use, texts[0])
            return
        system, attached = (self._known.get(text, 0) if text else 0 for text in (what.system, what.attached))
        self.counted.emit(ContextUse(use.total, system, attached, use.n_ctx))

    def _count_text(self, client: EngineClient, ticket: int, what: ToCount, use: ContextUse, text: str) -> None:
        def done(value: Any) -> None:
            if ticket != self._ticket:
                return
            self._known = {**dict(list(self._known.items())[-8:]), text: count_of(value)}
            self._split(client, ticket, what, use)

        client.post("/tokenize", {"content": text}, done, lambda _: self.counted.emit(use))


def count_of(value: Any) -> int:
    """Number of tokens in an answer of ``/tokenize`` to a text."""
    if not isinstance(value, dict):
        return 0
    return len(value["tokens"]) if isinstance(value.get("tokens"), list) else int(value.get("count") or 0)
