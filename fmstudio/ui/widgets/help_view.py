"""The help pages of `resources/help`, shown in a window of their own."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt, Slot
from PySide6.QtWidgets import QDialog, QListWidget, QListWidgetItem, QTextBrowser, QWidget

from fmstudio.core.paths import resource
from fmstudio.ui.widgets.parts import row


class HelpView(QDialog):
    """Titles at the left, the page at the right; links between pages work, nothing is fetched."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle(self.tr("Help"))
        self.resize(860, 620)
        self.list = QListWidget()
        self.list.setFixedWidth(220)
        self.list.setAccessibleName(self.tr("Help pages"))
        self.text = QTextBrowser()
        self.text.setOpenExternalLinks(False)
        self.text.setOpenLinks(False)
        self.text.setAccessibleName(self.tr("Help"))
        self.text.anchorClicked.connect(lambda url: self.show_page(Path(url.path()).stem))
        for path in sorted(resource("help").glob("*.md"), key=lambda path: (path.stem != "index", path.stem)):
            item = QListWidgetItem(_title(path))
            item.setData(Qt.ItemDataRole.UserRole, path)
            self.list.addItem(item)
        self.list.currentItemChanged.connect(self._on_chosen)
        self.setLayout(row(self.list, self.text, gap=16, margins=(16, 16, 16, 16)))

    def show_page(self, name: str) -> None:
        """Show the page of that file name (without ``.md``); the first one when there is none."""
        for index in range(self.list.count()):
            item = self.list.item(index)
            if item.data(Qt.ItemDataRole.UserRole).stem == name:
                self.list.setCurrentItem(item)
                return
        self.list.setCurrentRow(0)

    @Slot(QListWidgetItem, QListWidgetItem)
    def _on_chosen(self, item: QListWidgetItem | None, _: QListWidgetItem | None) -> None:
        if item is not None:
            self.text.setMarkdown(item.data(Qt.ItemDataRole.UserRole).read_text("utf-8"))


def _title(path: Path) -> str:
    with path.open(encoding="utf-8") as file:
        first = file.readline()
    return first.lstrip("# ").strip() or path.stem
