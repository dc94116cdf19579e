"""A short soak of the engine with real processes; `python -m tests.soak --minutes 60` is the long one.

CI soaks for five minutes (`FMSTUDIO_SOAK_SECONDS`), beside the other tests.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.soak.__main__ import soak

SECONDS = float(os.environ.get("FMSTUDIO_SOAK_SECONDS", "45"))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="kills by signal and measures in /proc")
def test_nothing_hangs_nothing_is_lost_and_memory_is_flat(tmp_path: Path) -> None:
    report = soak(tmp_path, SECONDS)
    assert report["faults"] == [], report
    assert report["kills"] >= 1 and report["acts"]["reference"] > 5 and report["answers"]["length"] > 5, report
