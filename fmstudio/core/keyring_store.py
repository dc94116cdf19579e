"""Keys of endpoints in the system's keyring, through the `keyring` library where it is installed and has a safe place.

Nothing is ever written to a file: without a keyring a key is known until the program ends, and then asked for again.
"""

from __future__ import annotations

from typing import Any

SERVICE = "FM Studio endpoint"
HUB_NAME = "huggingface.co"
"""Name under which the user's token for the model hub is kept."""


_held: dict[str, str] = {}
"""Keys of this run that no keyring takes."""


def is_available() -> bool:
    """Whether there is a keyring that keeps secrets (not a null or plain-text one)."""
    return _backend() is not None


def read_key(name: str) -> str:
    """The key kept under a name, or given since the program began; empty when there is none."""
    backend = _backend()
    if backend is None or name in _held:
        return _held.get(name, "")
    from keyring.errors import KeyringError

    try:
        return str(backend.get_password(SERVICE, name) or "")
    except KeyringError:
        return ""


def keep_key(name: str, key: str) -> bool:
    """Keep a key; False = only until the program ends, because there is no keyring that takes it."""
    backend = _backend()
    _held[name] = key
    if backend is None:
        return False
    from keyring.errors import KeyringError

    try:
        backend.set_password(SERVICE, name, key)
    except KeyringError:
        return False
    del _held[name]
    return True


def forget_key(name: str) -> None:
    """Remove a key, where there is one."""
    _held.pop(name, None)
    backend = _backend()
    if backend is None:
        return
    from keyring.errors import KeyringError

    try:
        backend.delete_password(SERVICE, name)
    except KeyringError:
        return


def _backend() -> Any:
    """The keyring in use; None for those that keep nothing or keep it in clear."""
    try:
        import keyring
        from keyring.errors import KeyringError
    except ImportError:
        return None
    try:
        backend = keyring.get_keyring()
        return backend if backend.priority >= 1 else None
    except KeyringError:
        return None
