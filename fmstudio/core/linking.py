"""Files that never change, in two places at once: by hard link, else by copy."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def link_file(source: Path, target: Path) -> None:
    """Hard-link a file; copy it where the disk has no links.

    Raises:
        OSError: It can be neither linked nor copied.
    """
    try:
        os.link(source, target)
    except OSError:  # FAT has no hard links, some network drives refuse them, and the number of links is limited
        shutil.copyfile(source, target)
