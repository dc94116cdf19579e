"""What trainer, engine and exporter must agree on about chat templates: the plain one, and the name of any."""

from __future__ import annotations

import hashlib
from typing import Final

PLAIN_TEMPLATE: Final = (
    "{% for m in messages %}{{ m['role'] | capitalize }}: {{ m['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}Assistant:{% endif %}"
)
"""Used when a model brings none. Not a trained format: a base model goes on from it as text."""

LONGEST_TEMPLATE: Final = 200_000
"""Characters an edited template may have; the longest of known models has some 20 000."""


def template_hash(source: str) -> str:
    """SHA-256, in hex, of the template that is in use; an empty `source` means the plain one."""
    return hashlib.sha256((source if source.strip() else PLAIN_TEMPLATE).encode("utf-8", "surrogatepass")).hexdigest()
