"""What the user named: a file, or an address. Knows nothing of networks."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from fmstudio.api.errors import UserError

HUB = "https://huggingface.co"


def is_remote(name: str) -> bool:
    """Whether it is a web address, or ``hf:owner/name`` for a dataset on the Hugging Face hub."""
    return bool(re.match(r"(?i)https?://|hf:", name))


def as_text(name: str) -> str:
    """Give the name of a file as text: names need not be valid UTF-8, and what is not in them becomes �.

    Example:
        >>> as_text("caf\udce9.csv")
        'caf�.csv'
    """
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def name_of(file: str) -> str:
    """The name by which a file, folder or address is known: without what leads there.

    Example:
        >>> name_of("https://example.org/data/train.jsonl?download=true"), name_of("hf:owner/birds@main")
        ('train.jsonl', 'birds')
    """
    if not is_remote(file):
        return as_text(Path(file).name)
    if file.lower().startswith("hf:"):
        return file[3:].partition("@")[0].rpartition("/")[2] or file
    parts = urlsplit(file)
    return unquote(PurePosixPath(parts.path).name) or parts.hostname or file


def title_of(file: str) -> str:
    """What a dataset made of it is called, unless the user says otherwise: the name without a suffix."""
    name = name_of(file)
    if not is_remote(file):
        return name if Path(file).is_dir() else Path(name).stem
    return name if file.lower().startswith("hf:") or not urlsplit(file).path.strip("/") else Path(name).stem or name


def checked_url(url: str) -> str:
    """The base address of an endpoint, with its ``/v1`` where the path was left out.

    Raises:
        UserError: It is no http address, or holds a name and password.
    """
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError as error:
        raise UserError(f"“{url}” is no address: {error}.", remedy="For example: http://127.0.0.1:8080/v1") from error
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise UserError(f"“{url}” is no address of a server.", remedy="For example: http://127.0.0.1:8080/v1")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise UserError("The address holds more than a place.", remedy="Put the key into its own field.")
    if parts.scheme == "http" and not is_loopback(url):
        raise UserError(
            "Over http a key and every message could be read on the way.", remedy="Use https for another machine."
        )
    path = parts.path.rstrip("/") or "/v1"
    return f"{parts.scheme}://{parts.netloc}{path}"


def is_loopback(url: str) -> bool:
    """Whether an address leads to this computer, without asking anyone."""
    host = (urlsplit(url.strip()).hostname or "").lower()
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def hub_address(text: str) -> str:
    """The address of a mirror of the model hub; empty = the hub itself.

    Raises:
        UserError: It is no address, or would be read over an open line.
    """
    if not text.strip():
        return ""
    try:
        parts = urlsplit(text.strip())
        _ = parts.port
    except ValueError as error:
        raise UserError(f"“{text}” is no address: {error}.", remedy="For example: https://hub.example.org") from error
    if not parts.hostname or parts.query or parts.fragment or parts.username:
        raise UserError(f"“{text}” is no address of a hub.", remedy="For example: https://hub.example.org")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(text)):
        raise UserError("Only https is used for other machines.", remedy="Use an address that begins with https.")
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"
