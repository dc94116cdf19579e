"""Colours, type and icons from `resources/themes` and `resources/icons`; follows the system or the user's choice, live.

No colour is written in code: widgets take theirs from the style sheet or from `Theme.color`.
"""

from __future__ import annotations

import tomllib
from string import Template
from typing import Final

from PySide6.QtCore import QObject, Qt, Signal, Slot
from PySide6.QtGui import QColor, QFont, QFontDatabase, QPalette
from PySide6.QtWidgets import QApplication, QWidget

from fmstudio.core.paths import cache, resource
from fmstudio.ui import icons

BASE_PX: Final = 13
SPACE: Final = 4
"""The unit of the spacing scale: margins and gaps are multiples of it."""
ROW_HEIGHT: Final = 28
UI_FONTS: Final = ("Inter", "Segoe UI", "SF Pro Text", "Noto Sans", "DejaVu Sans")
MONO_FONTS: Final = ("JetBrains Mono", "Cascadia Mono", "Menlo", "DejaVu Sans Mono")
CHOICES: Final = ("system", "light", "dark")


def tokens(name: str) -> dict[str, str]:
    """The tokens of a theme: name → ``#RRGGBB``."""
    return dict(tomllib.loads(resource("themes", f"{name}.toml").read_text("utf-8")))


def contrast(first: str, second: str) -> float:
    """Contrast ratio of two colours, 1 to 21 (WCAG 2.2, "contrast ratio")."""
    light, dark = sorted((_luminance(first), _luminance(second)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(color: str) -> float:
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


class Theme(QObject):
    """The look in force. One per application; `Theme.current()` finds it.

    Signals:
        changed: The colours are others now; widgets that paint by hand repaint.
    """

    changed = Signal()
    _current: Theme | None = None

    def __init__(self, app: QApplication, choice: str = "system") -> None:
        super().__init__(app)
        Theme._current = self
        self._app = app
        self._choice = choice
        self.name = ""
        self._tokens: dict[str, str] = {}
        self.mono_family = "monospace"
        self._load_fonts()
        app.setStyle("Fusion")
        app.styleHints().colorSchemeChanged.connect(self._follow)
        self._apply()

    @classmethod
    def current(cls) -> Theme:
        """The application's theme; made with defaults when there is none yet (tests of single widgets)."""
        app = QApplication.instance()
        if cls._current is None and isinstance(app, QApplication):
            cls(app, "light")
        assert cls._current is not None
        return cls._current

    def choose(self, choice: str) -> None:
        """Switch to ``system``, ``light`` or ``dark`` at once."""
        self._choice = choice
        self._apply()

    def color(self, token: str) -> QColor:
        """Colour of a token."""
        return QColor(self._tokens[token])

    def hex(self, token: str) -> str:
        """Colour of a token as ``#RRGGBB``."""
        return self._tokens[token]

    def mono(self, px: int = 12) -> QFont:
        """The font for code, logs and numbers in columns."""
        font = QFont(self.mono_family)
        font.setPixelSize(px)
        return font

    @Slot()
    def _follow(self) -> None:
        if self._choice == "system":
            self._apply()

    def _apply(self) -> None:
        name = self._choice
        if name not in ("light", "dark"):
            is_dark = self._app.styleHints().colorScheme() == Qt.ColorScheme.Dark
            name = "dark" if is_dark else "light"
        if name == self.name:
            return
        self.name, self._tokens = name, tokens(name)
        icons.forget()
        self._app.setPalette(self._palette())
        self._app.setStyleSheet(self._style_sheet())
        for widget in self._app.allWidgets():
            icons.refresh(widget)
        self.changed.emit()

    def _style_sheet(self) -> str:
        template = Template(resource("themes", "style.qss.in").read_text("utf-8"))
        values = {
            **self._tokens,
            "size_base": str(BASE_PX),
            "font_ui": ", ".join(f'"{name}"' for name in UI_FONTS),
            "font_mono": ", ".join(f'"{name}"' for name in MONO_FONTS),
            "icon_chevron_down": self._icon_file("chevron-down", "muted"),
            "icon_chevron_up": self._icon_file("chevron-up", "muted"),
            "icon_check": self._icon_file("check", "on_accent"),
        }
        return template.substitute(values)

    def _icon_file(self, icon: str, token: str) -> str:
        """Path of a recoloured icon, for the style sheet, which can only name files."""
        path = cache("icons", f"{icon}-{self._tokens[token].lstrip('#')}.svg")
        if not path.exists():
            path.write_text(icons.svg(icon, self._tokens[token]), "utf-8")
        return path.as_posix()

    def _load_fonts(self) -> None:
        for path in sorted(resource("fonts").glob("*.[ot]tf")):
            QFontDatabase.addApplicationFont(str(path))
        there = set(QFontDatabase.families())
        families: list[str] = [name for name in UI_FONTS if name in there]
        font = QFont(families or ["sans-serif"])
        font.setPixelSize(BASE_PX)
        font.setHintingPreference(QFont.HintingPreference.PreferVerticalHinting)
        self._app.setFont(font)
        self.mono_family = next((name for name in MONO_FONTS if name in there), "monospace")

    def _palette(self) -> QPalette:
        roles = QPalette.ColorRole
        palette = QPalette()
        for role, token in (
            (roles.Window, "background"),
            (roles.WindowText, "text"),
            (roles.Base, "surface"),
            (roles.AlternateBase, "sunken"),
            (roles.Text, "text"),
            (roles.Button, "raised"),
            (roles.ButtonText, "text"),
            (roles.ToolTipBase, "raised"),
            (roles.ToolTipText, "text"),
            (roles.PlaceholderText, "faint"),
            (roles.Highlight, "accent"),
            (roles.HighlightedText, "on_accent"),
            (roles.Link, "accent"),
            (roles.LinkVisited, "accent"),
            (roles.Mid, "border"),
            (roles.Midlight, "border"),
            (roles.Dark, "control"),
            (roles.Light, "raised"),
        ):
            palette.setColor(role, QColor(self._tokens[token]))
        for role in (roles.WindowText, roles.Text, roles.ButtonText):
            palette.setColor(QPalette.ColorGroup.Disabled, role, QColor(self._tokens["faint"]))
        return palette


def restyle(widget: QWidget, **properties: object) -> None:
    """Set style properties (``role``, ``kind``, ``level`` …) of a widget that is already shown."""
    for name, value in properties.items():
        widget.setProperty(name, value)
    widget.style().unpolish(widget)
    widget.style().polish(widget)
