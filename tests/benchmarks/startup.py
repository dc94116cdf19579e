"""From process start until the window has taken its first key: FM Studio beside a PySide6 window with nothing in it.

Both are watched the same way: once the window has been painted, a key event is posted to it, and the process says so and
ends when that event is delivered. The time is the parent's, from starting the process until it hears this.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time

from tests.benchmarks import Figure
from tests.helpers import ROOT

RUNS = 5
MOST_SECONDS = 1.0
MOST_RATIO = 3.0
TIMEOUT_S = 120

WATCH = """
import os
from PySide6.QtCore import QCoreApplication, QEvent, QObject, Qt
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QApplication

class Watch(QObject):
    painted = False

    def eventFilter(self, target, event):
        if event.type() == QEvent.Type.Paint and target.isWidgetType() and not Watch.painted:
            Watch.painted = True
            key = QKeyEvent(QEvent.Type.KeyPress, Qt.Key.Key_Shift, Qt.KeyboardModifier.NoModifier)
            QCoreApplication.postEvent(target.window(), key)
        elif Watch.painted and event.type() == QEvent.Type.KeyPress:
            os.write(1, b"took a key\\n")
            os._exit(0)
        return False

def watch(app):
    app.watch = Watch()
    app.installEventFilter(app.watch)
"""
PEER = f"""{WATCH}
from PySide6.QtWidgets import QWidget
app = QApplication([])
watch(app)
window = QWidget()
window.resize(1280, 800)
window.show()
app.exec()
"""
OURS = f"""{WATCH}
import sys
run = QApplication.exec

def watched_run():
    watch(QApplication.instance())
    return run()

QApplication.exec = staticmethod(watched_run)
from fmstudio.__main__ import main
sys.exit(main([]))
"""
"""The real door, ``python -m fmstudio``; only the call that begins the event loop is wrapped, to watch from there."""


def run() -> list[Figure]:
    """Start each in turn, one warming start and then `RUNS` measured ones; the medians count."""
    with tempfile.TemporaryDirectory(prefix="fmstudio-startup-") as home:
        start(OURS, home), start(PEER, home)
        pairs = [(start(OURS, home), start(PEER, home)) for _ in range(RUNS)]
    ours, peer = (statistics.median(values) for values in zip(*pairs, strict=True))
    name = "a bare PySide6 window"
    return [
        Figure("window takes input", ours, None, "s", f"≤ {MOST_SECONDS:.1f} s", ours <= MOST_SECONDS),
        Figure("window takes input", ours, peer, "s", f"≤ {MOST_RATIO:g} × peer", ours <= MOST_RATIO * peer, name),
    ]


def start(script: str, home: str, *flags: str) -> float:
    """Seconds until a window has taken a key.

    Raises:
        RuntimeError: It ended without.
    """
    environment = {
        **os.environ, "FMSTUDIO_HOME": home, "PYTHONPATH": str(ROOT), "QT_QPA_PLATFORM": "offscreen",
        "PYTHONPYCACHEPREFIX": os.path.join(home, "compiled"),
    }  # fmt: skip
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # both as installed: compiled at the first start
    begun = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *flags, "-c", script], env=environment, capture_output=True, timeout=TIMEOUT_S, check=False
    )
    seconds = time.perf_counter() - begun
    if b"took a key" not in done.stdout:
        raise RuntimeError(f"the window did not take a key: {done.stderr.decode(errors='replace')}")
    return seconds
