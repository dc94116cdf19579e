"""Evaluated conversations on disk: after a restart, or a crash, the next turn does not read its prompt again.

One file a state: a head (JSON), the tokens, the native bytes, and a hash over all of it, checked before native code sees
anything. A file is used only by what made it: the same model, the same adapters and control vectors, the same kind of
cache. Files are written beside and renamed, on a thread of their own; a torn one is found by its hash.
"""

from __future__ import annotations

import hashlib
import json
import os
import queue
import shutil
import struct
import sys
import threading
import time
from collections.abc import Callable, Hashable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from fmstudio.api.conversation_files import SUFFIX, files_of, name_of
from fmstudio_llama_cpp.states import SavedState, Span, common_start, starts_with

MAGIC: Final = b"FMSTATE1"
WORTH_KEEPING: Final = 256
"""Shorter conversations are read again sooner than they are looked for."""
_MOST_HEAD = 1 << 20
_HASH_BYTES = 32
_KEEP_FREE = 1 << 30
_CHUNK = 4 << 20
_MOST_WAITING = 4


class DamagedStateError(Exception):
    """A file is not what it should be; the text says why."""


@dataclass(frozen=True, slots=True)
class StateFile:
    """A file as far as its head tells.

    Attributes:
        acting: What acted on the values (see `StateFiles`).
    """

    path: Path
    acting: str
    conversation: str
    tokens: list[int]
    slices: list[Span]


class StateFiles:
    """The files of one model as it is loaded.

    Args:
        folder: Shared by all models.
        most_bytes: Bound for the files of all models together; the one unused for longest goes first.
        identity: Of the model and of what else the values depend on.
        digest: Gives the name of what acts (adapters, control vectors) by content, from a state's key.
        is_whole_only: See `StateShelf`.
        n_ctx: Tokens the context holds; longer states are of no use.
    """

    def __init__(
        self,
        folder: Path,
        most_bytes: int,
        identity: Sequence[str],
        digest: Callable[[Hashable], str],
        *,
        is_whole_only: bool,
        n_ctx: int,
    ) -> None:
        name = hashlib.sha256("\n".join(identity).encode()).hexdigest()[:32]
        self._all, self.folder, self._most = folder, folder / name, most_bytes
        self._digest, self._is_whole_only, self._n_ctx = digest, is_whole_only, n_ctx
        self._lock = threading.Lock()
        self._known: list[StateFile] = []
        self._written: set[tuple[str, str]] = set()
        self._waiting: queue.Queue[tuple[SavedState, str] | None] = queue.Queue(_MOST_WAITING)
        self._writer = threading.Thread(target=self._write_all, name="state-files", daemon=True)
        self.folder.mkdir(parents=True, exist_ok=True)
        for path in self.folder.glob(f"*{SUFFIX}"):
            self._meet(path)
        self._writer.start()

    def _meet(self, path: Path) -> None:
        try:
            with path.open("rb") as stream:
                found = _read_head(stream, path, self._n_ctx)
        except (OSError, DamagedStateError) as error:
            self._drop(path, str(error))
        else:
            self._known.append(found)
            self._written.add((found.acting, _hash_of(found.tokens)))

    def better(self, key: Hashable, prompt: Sequence[int], than: int) -> SavedState | None:
        """Read the state that saves most of `prompt`, if that is clearly more than `than` tokens; None = there is none.

        Whatever is wrong with a file is written to the log, and the file is deleted.
        """
        if not self._known:
            return None
        acting = self._digest(key)
        while True:
            found, most = None, than + WORTH_KEEPING // 4
            with self._lock:
                for one in self._known:
                    if one.acting != acting:
                        continue
                    length = common_start(one.tokens, one.slices, prompt)
                    if length > most and (not self._is_whole_only or length == len(one.tokens)):
                        found, most = one, length
            if found is None:
                return None
            state = self._read(found, key)
            if state is not None:
                return state

    def _read(self, found: StateFile, key: Hashable) -> SavedState | None:
        import numpy as np

        try:
            data = _read_whole(found, self._n_ctx)
            os.utime(found.path)  # used just now
        except (OSError, DamagedStateError) as error:
            self.reject(found.path, str(error))
            return None
        values = np.frombuffer(data, np.uint8)
        return SavedState(key, found.tokens.copy(), found.slices.copy(), values, found.conversation)

    def reject(self, path: Path, why: str) -> None:
        """Forget a file that proved to be of no use, and delete it."""
        self._lose([one for one in self._known if one.path == path])
        self._drop(path, why)

    def _lose(self, gone: Sequence[StateFile]) -> None:
        """Files that are no more: what they held may be written again."""
        with self._lock:
            self._known = [one for one in self._known if one not in gone]
            self._written -= {(one.acting, _hash_of(one.tokens)) for one in gone}

    def reject_state(self, state: SavedState, why: str) -> None:
        """As `reject`, for what was read from it."""
        with self._lock:
            paths = [one.path for one in self._known if one.tokens == state.tokens]
        for path in paths:
            self.reject(path, why)

    def _drop(self, path: Path, why: str) -> None:
        print(f"A saved conversation is passed over ({path.name}): {why}", file=sys.stderr, flush=True)
        with suppress(OSError):
            path.unlink()

    def has(self, key: Hashable, tokens: Sequence[int]) -> bool:
        """Whether this very state is on disk, or on its way there."""
        return (self._digest(key), _hash_of(tokens)) in self._written

    def keep(self, state: SavedState) -> None:
        """Write a state soon; nothing happens if it is short, known, or the disk is too slow for more."""
        if len(state.tokens) < WORTH_KEEPING or state.bytes > self._most or self.has(state.key, state.tokens):
            return
        acting = self._digest(state.key)
        with suppress(queue.Full):
            self._waiting.put_nowait((state, acting))
            self._written.add((acting, _hash_of(state.tokens)))

    def forget(self, conversation: str) -> None:
        """Delete all files of a conversation."""
        for path in files_of(self._all, conversation):
            with suppress(OSError):
                path.unlink()
        self._lose([one for one in self._known if one.conversation == conversation])

    def close(self, seconds: float) -> None:
        """Write what waits, for so long at most."""
        with suppress(queue.Full):
            self._waiting.put(None, timeout=seconds)
        self._writer.join(seconds)

    # ---- the writer's thread ---------------------------------------------------------------------------------------

    def _write_all(self) -> None:
        while (item := self._waiting.get()) is not None:
            try:
                self._write(*item)
            except OSError as error:
                print(f"A conversation could not be kept on disk: {error}", file=sys.stderr, flush=True)

    def _write(self, state: SavedState, acting: str) -> None:
        if shutil.disk_usage(self._all).free < state.bytes + _KEEP_FREE:
            raise OSError("the disk is nearly full")
        name = f"{name_of(state.conversation)}.{acting[:12] or 'bare'}-{_hash_of(state.tokens)[:24]}{SUFFIX}"
        path = self.folder / name
        beside = path.with_suffix(f".{os.getpid()}.tmp")
        self.folder.mkdir(parents=True, exist_ok=True)  # the cache may have been cleared
        try:
            _write_file(beside, state, acting)
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)
        made = StateFile(path, acting, state.conversation, state.tokens, state.slices)
        with self._lock:
            older = [] if self._is_whole_only else [o for o in self._known if _is_served_by(o, made)]
            self._known = [one for one in self._known if one not in older and one.path != path] + [made]
        for one in older:
            if one.path != path:
                one.path.unlink(missing_ok=True)
        self._trim()

    def _trim(self) -> None:
        """Hold the files of all models to the bound; leftovers of killed writers go first."""
        found = []
        for path in self._all.glob("*/*"):
            with suppress(OSError):
                facts = path.stat()
                if path.suffix == ".tmp" and time.time() - facts.st_mtime > 600:
                    path.unlink()
                elif path.suffix == SUFFIX:
                    found.append((facts.st_mtime, facts.st_size, path))
        over = sum(size for _, size, _ in found) - self._most
        gone = set()
        for _, size, path in sorted(found):
            if over <= 0:
                break
            with suppress(OSError):
                path.unlink()
            over -= size
            gone.add(path)
        with self._lock:
            self._known = [one for one in self._known if one.path not in gone]


def _is_served_by(one: StateFile, longer: StateFile) -> bool:
    return one.acting == longer.acting and starts_with(longer.tokens, one.tokens)


def _hash_of(tokens: Sequence[int]) -> str:
    return hashlib.blake2b(struct.pack(f"<{len(tokens)}i", *tokens), digest_size=16).hexdigest()


def _write_file(path: Path, state: SavedState, acting: str) -> None:
    head = {
        "acting": acting,
        "conversation": state.conversation,
        "n_tokens": len(state.tokens),
        "slices": state.slices,
        "n_bytes": state.bytes,
    }
    written = json.dumps(head).encode()
    digest = hashlib.blake2b(digest_size=_HASH_BYTES)
    with path.open("wb") as stream:
        for part in (
            MAGIC + struct.pack("<I", len(written)) + written,
            struct.pack(f"<{len(state.tokens)}i", *state.tokens),
        ):
            stream.write(part)
            digest.update(part)
        whole = memoryview(state.data).cast("B")
        for start in range(0, len(whole), _CHUNK):
            chunk = whole[start : start + _CHUNK]
            stream.write(chunk)
            digest.update(chunk)
        stream.write(digest.digest())


def _read_head(stream: Any, path: Path, n_ctx: int) -> StateFile:
    """Read what comes before the native bytes; the stream then stands at their beginning.

    Raises:
        DamagedStateError: Anything is not as `_write_file` writes it.
    """
    start = stream.read(len(MAGIC) + 4)
    if len(start) < len(MAGIC) + 4 or not start.startswith(MAGIC):
        raise DamagedStateError("it is no saved conversation of this version")
    (length,) = struct.unpack("<I", start[len(MAGIC) :])
    if length > _MOST_HEAD:
        raise DamagedStateError(f"its head claims {length:,} bytes")
    try:
        head = json.loads(stream.read(length))
        n_tokens, n_bytes = head["n_tokens"], head["n_bytes"]
        acting, conversation = head["acting"], head["conversation"]
        slices = [(first, last) for first, last in head["slices"]]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DamagedStateError(f"its head cannot be read ({type(error).__name__})") from error
    numbers = [n_tokens, n_bytes, *(place for span in slices for place in span)]
    if not all(type(number) is int and number >= 0 for number in numbers) or not 0 < n_tokens <= n_ctx:
        raise DamagedStateError("its head has numbers that cannot be")
    if not isinstance(acting, str) or not isinstance(conversation, str):
        raise DamagedStateError("its head has names that are no text")
    size = len(start) + length + 4 * n_tokens + n_bytes + _HASH_BYTES
    if os.fstat(stream.fileno()).st_size != size:
        raise DamagedStateError("its size is not what its head says")
    tokens = list(struct.unpack(f"<{n_tokens}i", stream.read(4 * n_tokens)))
    return StateFile(path, acting, conversation, tokens, slices)


def _read_whole(known: StateFile, n_ctx: int) -> bytearray:
    """Read the native bytes of a file whose head is known, and check everything against its hash.

    Raises:
        DamagedStateError: It is damaged, or another file than before.
    """
    digest = hashlib.blake2b(digest_size=_HASH_BYTES)
    with known.path.open("rb") as stream:
        if _read_head(stream, known.path, n_ctx) != known:
            raise DamagedStateError("it is another file than before")
        at = stream.tell()
        stream.seek(0)
        digest.update(stream.read(at))
        data = bytearray(os.fstat(stream.fileno()).st_size - at - _HASH_BYTES)
        view = memoryview(data)
        for start in range(0, len(data), _CHUNK):
            part = view[start : start + _CHUNK]
            if stream.readinto(part) != len(part):
                raise DamagedStateError("it ended while it was read")
            digest.update(part)
        if stream.read() != digest.digest():
            raise DamagedStateError("its content does not match its hash")
    return data
