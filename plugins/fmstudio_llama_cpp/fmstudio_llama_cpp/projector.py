"""Pictures → places in a context, with llama.cpp's mtmd library and a projector file (``mmproj…gguf``).

In the list of a context's tokens a picture stands as that many made-up ids, negative and drawn from the hash of its
pixels: so the same picture at the same place is found again like any other beginning, and another one is not.
"""

from __future__ import annotations

import ctypes
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from fmstudio.api import UserError
from fmstudio.api.gguf_header import GgufHeader, read_gguf_header
from fmstudio.api.pictures import PICTURE_MARK
from fmstudio_llama_cpp import native_log
from fmstudio_llama_cpp.native import NativeModel
from fmstudio_llama_cpp.pictures import Picture, decode_picture

MOST_PICTURES: Final = 16
_TEXT, _IMAGE = 0, 1
_NEGATIVE: Final = 1 << 31


class PicturePiece:
    """A part of a picture as the projector cuts it, ready to be evaluated.

    Attributes:
        ids: What stands for it among the tokens, one for each position it takes.
        n_cells: Places it takes in the context; more than positions with some models.
    """

    def __init__(self, lib: Any, chunk: Any, ids: list[int], n_cells: int) -> None:
        self._lib, self.chunk = lib, chunk
        self.ids, self.n_cells = ids, n_cells

    def __del__(self) -> None:
        if self.chunk is not None:
            self._lib.mtmd_input_chunk_free(self.chunk)
            self.chunk = None


class Projector:
    """The projector of one loaded model; its file is opened when the first picture comes.

    Args:
        path: None = the model has none.
    """

    def __init__(self, native: NativeModel, path: Path | None, n_threads: int) -> None:
        self._native, self.path, self._n_threads = native, path, n_threads
        self._marker = f"<__picture_{secrets.token_hex(8)}__>"  # nobody can write it into a message
        self._lib: Any = None
        self._context: Any = None

    def pieces(self, text: str, images: Sequence[bytes], *, add_special: bool) -> list[list[int] | PicturePiece]:
        """Cut a rendered prompt into tokens and pictures.

        Args:
            text: Holds `PICTURE_MARK` where each of `images` belongs.

        Raises:
            UserError: The model sees no pictures, the template leaves one out, or one cannot be read.
        """
        if len(images) > MOST_PICTURES:
            raise UserError(f"There are {len(images)} pictures; at most {MOST_PICTURES} can be shown at once.")
        context = self._open()
        if text.count(PICTURE_MARK) != len(images):
            raise UserError(
                "The model's chat template leaves out a picture.", remedy="Put the pictures into messages of the user."
            )
        pictures = [decode_picture(data, number) for number, data in enumerate(images, 1)]
        chunks = self._lib.mtmd_input_chunks_init()
        bitmaps = [self._bitmap(picture) for picture in pictures]
        try:
            data = text.replace(PICTURE_MARK, self._marker).encode("utf-8", "surrogatepass")
            given = self._lib.mtmd_input_text(data, len(data), add_special, True)
            array = (self._lib.mtmd_bitmap_p_ctypes * max(1, len(bitmaps)))(*bitmaps)
            native_log.clear()
            if self._lib.mtmd_tokenize(context, chunks, ctypes.byref(given), array, len(bitmaps)) != 0:
                raise UserError(
                    f"The projector could not read a picture: {native_log.cause() or 'it gave no reason'}.",
                    remedy="Give another picture.",
                    details=native_log.tail(),
                )
            return self._read(chunks, pictures)
        finally:
            for bitmap in bitmaps:
                self._lib.mtmd_bitmap_free(bitmap)
            self._lib.mtmd_input_chunks_free(chunks)

    def evaluate(self, piece: PicturePiece, position: int, n_batch: int) -> int:
        """Encode a picture and evaluate it into the chat's context; gives llama.cpp's status, 0 = well."""
        if self._lib.mtmd_decode_use_non_causal(self._context, piece.chunk) and piece.n_cells > n_batch:
            raise UserError(
                f"A picture takes {piece.n_cells} tokens, which this model must read at once; the batch holds {n_batch}.",
                remedy="Load the model with a larger batch size.",
                remedy_action={"n_batch": min(4096, 1 << (piece.n_cells - 1).bit_length())},
            )
        after = ctypes.c_int32(position)
        return int(
            self._lib.mtmd_helper_eval_chunk_single(
                self._context, self._native.context, piece.chunk, position, 0, n_batch, False, ctypes.byref(after)
            )
        )

    def close(self) -> None:
        """Free it; calling it twice does nothing."""
        if self._context is not None:
            self._lib.mtmd_free(self._context)
            self._context = None

    def _bitmap(self, picture: Picture) -> Any:
        data = (ctypes.c_uint8 * len(picture.data)).from_buffer_copy(picture.data)
        bitmap = self._lib.mtmd_bitmap_init(picture.width, picture.height, data)
        self._lib.mtmd_bitmap_set_id(bitmap, picture.digest.encode())
        return bitmap

    def _read(self, chunks: Any, pictures: Sequence[Picture]) -> list[list[int] | PicturePiece]:
        lib, found = self._lib, list[list[int] | PicturePiece]()
        counts = dict.fromkeys((picture.digest for picture in pictures), 0)
        for index in range(lib.mtmd_input_chunks_size(chunks)):
            chunk = lib.mtmd_input_chunks_get(chunks, index)
            if lib.mtmd_input_chunk_get_type(chunk) == _TEXT:
                length = ctypes.c_size_t()
                tokens = lib.mtmd_input_chunk_get_tokens_text(chunk, ctypes.byref(length))
                found.append(list(tokens[: length.value]) if length.value else [])
                continue
            digest = (lib.mtmd_input_chunk_get_id(chunk) or b"").decode()
            n_positions, n_cells = lib.mtmd_input_chunk_get_n_pos(chunk), lib.mtmd_input_chunk_get_n_tokens(chunk)
            ids = stand_ins(digest, counts.get(digest, 0), n_positions)
            counts[digest] = counts.get(digest, 0) + n_positions
            found.append(PicturePiece(lib, lib.mtmd_input_chunk_copy(chunk), ids, n_cells))
        return found

    def _open(self) -> Any:
        if self._context is not None:
            return self._context
        if self.path is None:
            raise UserError(
                f"“{self._native.header.path.name}” reads text only: it has no projector for pictures.",
                remedy="Load a vision model with its projector (a file named mmproj…gguf beside it), or leave the "
                "pictures out.",
            )
        from llama_cpp import mtmd_cpp as lib

        self._lib = lib
        lib.mtmd_log_set(native_log.callback(), None)
        lib.mtmd_helper_log_set(native_log.callback(), None)
        wanted = lib.mtmd_context_params_default()
        wanted.use_gpu = bool(self._native.lib.llama_supports_gpu_offload())
        wanted.print_timings, wanted.warmup, wanted.n_threads = False, False, self._n_threads
        wanted.media_marker = self._marker.encode()
        native_log.clear()
        context = lib.mtmd_init_from_file(str(self.path).encode(), self._native.model, wanted)
        if not context or not lib.mtmd_support_vision(context):
            raise UserError(
                f"The projector “{self.path.name}” cannot be used: {native_log.cause() or 'it gave no reason'}.",
                remedy="Use the projector that was published with this very model.",
                details=native_log.tail(),
            )
        self._context = context
        return context


def stand_ins(digest: str, first: int, count: int) -> list[int]:
    """Negative ids for `count` positions of a picture, from its position `first` on."""
    start = int(digest[:15] or "0", 16)
    return [-1 - (start + first + index) % (_NEGATIVE - 1) for index in range(count)]


def find_projector(header: GgufHeader, named: str) -> Path | None:
    """The projector to use: the one that is named, else the only one beside the model that fits it.

    Raises:
        UserError: The one that is named is none, or belongs to another model.
    """
    if named:
        if not _is_projector(read_gguf_header(Path(named))):
            raise UserError(
                f"“{Path(named).name}” is no projector for pictures.", remedy="Choose a file named mmproj…."
            )
        return Path(named)  # whether it fits, the library says when it is opened
    beside = [path for path in sorted(header.path.parent.glob("*mmproj*.gguf")) if _fits(path, header)]
    return beside[0] if len(beside) == 1 else None


def _is_projector(header: GgufHeader) -> bool:
    return header.architecture == "clip" and header.metadata.get("clip.has_vision_encoder") is True


def _fits(path: Path, model: GgufHeader) -> bool:
    """Whether it surely belongs to the model; some older files do not say how wide their vectors are."""
    try:
        header = read_gguf_header(path)
    except UserError:
        return False
    width = model.number(f"{model.architecture}.embedding_length")
    return _is_projector(header) and header.number("clip.vision.projection_dim") == width
