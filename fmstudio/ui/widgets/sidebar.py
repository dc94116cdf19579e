"""The sidebar: one entry per page, icons with names or icons alone."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import QButtonGroup, QFrame, QSizePolicy, QToolButton, QVBoxLayout

from fmstudio.ui import icons
from fmstudio.ui.widgets.parts import row, tool_button

WIDE, NARROW = 176, 52


class Sidebar(QFrame):
    """Page entries at the top, *Settings* and *Help* at the bottom.

    Signals:
        chosen: (page id) the user chose a page.
        help_wanted: The user asked for help.
    """

    chosen = Signal(str)
    help_wanted = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("sidebar")
        self.setAccessibleName(self.tr("Pages"))
        self.buttons: dict[str, QToolButton] = {}
        self._titles: dict[str, str] = {}
        self._group = QButtonGroup(self)
        self._is_wide = True
        self._top, self._bottom = QVBoxLayout(), QVBoxLayout()
        for layout in (self._top, self._bottom):
            layout.setSpacing(2)
        self.fold = tool_button("sidebar", self.tr("Collapse the sidebar"), self.toggle, shortcut="Ctrl+B")
        self.help = tool_button("help", self.tr("Help"), self.help_wanted.emit, shortcut="F1")
        self._feet = row(self.fold, None, self.help, gap=0)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(8, 12, 8, 8)
        outer.addLayout(self._top)
        outer.addStretch(1)
        outer.addLayout(self._bottom)
        outer.addSpacing(4)
        outer.addLayout(self._feet)
        self.setFixedWidth(WIDE)

    def add(self, page_id: str, title: str, icon: str, shortcut: str, *, at_bottom: bool = False) -> None:
        """Add an entry."""
        made = QToolButton()
        made.setCheckable(True)
        made.setText(f"  {title}")  # room between icon and name, which the style sheet cannot give
        made.setAccessibleName(title)
        made.setToolTip(f"{title} ({shortcut})" if shortcut else title)
        made.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        made.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        made.setCursor(Qt.CursorShape.PointingHandCursor)
        icons.set_icon(made, icon, "muted")
        made.clicked.connect(lambda: self.chosen.emit(page_id))
        self._group.addButton(made)
        self.buttons[page_id] = made
        self._titles[page_id] = title
        (self._bottom if at_bottom else self._top).addWidget(made)

    def mark(self, page_id: str) -> None:
        """Show which page is in front."""
        for other, entry in self.buttons.items():
            entry.setChecked(other == page_id)
            icons.set_icon(entry, str(entry.property("icon-name")), "accent" if other == page_id else "muted")

    @Slot()
    def toggle(self) -> None:
        """Switch between icons with names and icons alone."""
        self.set_wide(not self._is_wide)

    def set_wide(self, is_wide: bool) -> None:
        """Show names, or icons alone."""
        self._is_wide = is_wide
        self.setFixedWidth(WIDE if is_wide else NARROW)
        style = Qt.ToolButtonStyle
        for entry in self.buttons.values():
            entry.setToolButtonStyle(style.ToolButtonTextBesideIcon if is_wide else style.ToolButtonIconOnly)
        self.help.setVisible(is_wide)
        name = "Collapse the sidebar" if is_wide else "Expand the sidebar"
        self.fold.setAccessibleName(name)
        self.fold.setToolTip(f"{name} (Ctrl+B)")
