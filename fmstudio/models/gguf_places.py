"""Where a GGUF file's tensors lie: one after another, aligned, none over another. A loader would trust them."""

from __future__ import annotations

from fmstudio.api.errors import UserError
from fmstudio.api.gguf_header import GgufHeader


def check_places(header: GgufHeader) -> None:
    """Refuse a file whose tensors overlap, are not aligned, or share a name.

    Raises:
        UserError: Names the first tensor that is wrong.
    """
    alignment = header.number("general.alignment") or 32
    names: set[str] = set()
    end = 0
    for tensor in sorted(header.tensors, key=lambda t: (t.offset, t.n_bytes)):
        why = ""
        if tensor.name in names:
            why = "is there twice"
        elif tensor.offset % alignment:
            why = "does not begin at a multiple of the file's alignment"
        elif tensor.offset < end:
            why = "overlaps another"
        elif tensor.shape and min(tensor.shape) == 0:
            why = "has no weights"
        if why:
            raise UserError(
                f"“{header.path.name}” is damaged: the tensor “{tensor.name[:100]}” {why}.",
                remedy="It cannot be used as it is. Copy or download the file again; compare its size with the original.",
            )
        names.add(tensor.name)
        end = max(end, tensor.offset + tensor.n_bytes)
