"""Whether something the user named is an address and no file. Knows nothing of networks."""

from __future__ import annotations

import re


def is_remote(name: str) -> bool:
    """Whether it is a web address, or ``hf:owner/name`` for a dataset on the Hugging Face hub."""
    return bool(re.match(r"(?i)https?://|hf:", name))
