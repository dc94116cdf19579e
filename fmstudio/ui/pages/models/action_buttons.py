"""The buttons of the details panel: what can be done with this model, and why something cannot."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtCore import QCoreApplication, Qt
from PySide6.QtWidgets import QPushButton, QVBoxLayout

from fmstudio.ui.widgets.parts import button

if TYPE_CHECKING:
    from fmstudio.project.models import ModelEntry

Act = Callable[[str], None]


def tr(text: str) -> str:
    """Translate a sentence of this module."""
    return QCoreApplication.translate("ActionButtons", text)


def add_buttons(layout: QVBoxLayout, entry: ModelEntry, act: Act, *, can_quantise: bool) -> None:
    """Put an entry's buttons into a layout.

    Args:
        act: Called with ``chat``, ``train``, ``convert``, ``merge``, ``measure``, ``export``, ``test``, ``key``, ``remove``.
        can_quantise: Whether a plugin writes other precisions.
    """
    if entry.kind != "embedding":
        layout.addWidget(_chat(entry, act))
    if entry.kind == "base":
        train = button(tr("Train on it"), lambda: act("train"), icon="training")
        train.setEnabled(not entry.is_missing)
        layout.addWidget(train)
    for action, text, icon, tip in _more(entry, can_quantise):
        layout.addWidget(button(text, lambda action=action: act(action), icon=icon, tip=tip))  # type: ignore[misc]
    remove = button(tr("Remove from library"), lambda: act("remove"), kind="quiet", icon="trash")
    remove.setToolTip(tr("Only the entry goes; the file stays where it is (Del)"))
    layout.addWidget(remove, 0, Qt.AlignmentFlag.AlignLeft)


def _chat(entry: ModelEntry, act: Act) -> QPushButton:
    chat = button(
        tr("Chat with it"), lambda: act("chat"), kind="primary", icon="chat", tip=tr("Enter, or a double click")
    )
    why = why_no_chat(entry)
    chat.setEnabled(not why)
    if why:
        chat.setToolTip(why)
    return chat


def why_no_chat(entry: ModelEntry) -> str:
    """Why one cannot chat with it; empty when one can."""
    if entry.is_missing:
        return tr("Its file is gone.")
    if entry.kind == "embedding":
        return tr("It turns texts into numbers; it does not answer.")
    if entry.format not in ("gguf", "endpoint"):
        return tr("The engine loads GGUF files; this is a folder for training.")
    if entry.kind == "adapter" and not entry.base_id:
        return tr("Choose its base model first.")
    return ""


def _more(entry: ModelEntry, can_quantise: bool) -> list[tuple[str, str, str, str]]:
    if entry.format == "endpoint":
        return [
            ("test", tr("Test connection"), "link", tr("Ask the server for its models")),
            ("key", tr("Change key…"), "settings", tr("It is kept in the system's keyring, never in a file")),
        ]
    if entry.is_missing:
        return []
    found = []
    if entry.kind == "base" and entry.format in ("gguf", "hf") and can_quantise:
        tip = tr("Write it in another precision, as a job; F16 of a 4-bit model holds what a trainer computes with")
        found.append(("convert", tr("Convert…"), "swap", tip))
    if entry.kind == "adapter" and entry.base_id:
        tip = tr("Write the adapter into its base's weights, as a job; the result is a model of its own")
        found.append(("merge", tr("Merge into its base…"), "link", tip))
    if entry.facts.get("made_from") and entry.kind == "base" and entry.format == "gguf":
        tip = tr("Compare it with the model it was made from: how far its predictions moved, and how fast it is")
        found.append(("measure", tr("Measure quality"), "evaluation", tip))
    if entry.kind == "base":
        tip = tr("A folder for Ollama, llama-server and vLLM, reloaded and checked")
        found.append(("export", tr("Export to a folder…"), "export", tip))
    return found
