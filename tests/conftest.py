"""What every test gets: a home of its own, no network, offscreen Qt."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# Examples follow from the test's code, so that the same commit always passes or always fails;
# `HYPOTHESIS_PROFILE=search` looks for new ones.
settings.register_profile("default", derandomize=True, database=None, deadline=None)
settings.register_profile("search", derandomize=False, max_examples=3_000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ["HF_HUB_OFFLINE"] = "1"
# Several tests compute at once: threads that wait for each other must not keep the processors from those they wait for.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# A shell starts what runs in the background with SIGINT ignored, and children would inherit that: Ctrl+C is tested.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The soak first: it takes longest, and the other processes have all else to do beside it."""
    items.sort(key=lambda item: item.path.name != "test_soak.py")


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Settings, plugins and caches of this test alone."""
    home = tmp_path / "fmstudio-home"
    monkeypatch.setenv("FMSTUDIO_HOME", str(home))
    return home


@pytest.fixture(autouse=True)
def only_loopback(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Any connection that leaves this machine is an error."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: object) -> None:
        host = address[0] if isinstance(address, tuple) else ""
        if self.family in (socket.AF_INET, socket.AF_INET6) and host not in ("127.0.0.1", "::1", "localhost"):
            raise AssertionError(f"a test tried to reach {host}")
        connect(self, address)  # type: ignore[arg-type]

    monkeypatch.setattr(socket.socket, "connect", guarded)
    yield
