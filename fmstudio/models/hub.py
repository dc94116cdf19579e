"""What the Hugging Face hub (or a mirror that speaks the same) says of a model, before anything is downloaded.

Asks for one document: ``GET <hub>/api/models/<owner>/<name>/revision/<revision>?blobs=true``, as the hub's own client does
(huggingface_hub, ``HfApi.model_info(files_metadata=True)``). Any other address is a single file.
"""

from __future__ import annotations

import http.client
import json
import os
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

from fmstudio.api.errors import UserError
from fmstudio.core.addresses import HUB
from fmstudio.core.web import TOKEN_VARIABLE, Network, Refused, WebClient, file_name
from fmstudio.models.inspect import PICKLES
from fmstudio.models.json_object import count_of, text_of

TIMEOUT_S: Final = 15.0
MOST_ANSWER: Final = 32 << 20
_NAME: Final = re.compile(
    r"(?:hf:)?(?P<id>[\w][\w.-]*/[\w.-]+)(?:@(?P<revision>[\w./-]+))?(?::(?P<file>[\w./ +()-]+))?"
)
_PLACE: Final = re.compile(
    r"^/(?P<id>[^/]+/[^/]+?)(?:/(?:resolve|blob|tree)/(?P<revision>[^/]+)(?:/(?P<file>.+))?)?/?$"
)
_SPLIT: Final = re.compile(r"-(\d{5})-of-(\d{5})\.gguf$", re.IGNORECASE)
_FOLDER_SUFFIXES: Final = (".safetensors", ".json", ".jinja", ".txt", ".model", ".md")
_HEX: Final = re.compile(r"[0-9a-f]+")


@dataclass(frozen=True, slots=True)
class HubFile:
    """One file.

    Attributes:
        path: Where it lies in the model's folder.
        sha256: Of its content, where the hub says it (large files). git_sha1: Of git's blob, for the others.
    """

    path: str
    url: str
    bytes: int = 0
    sha256: str = ""
    git_sha1: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As JSON, for a job."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class HubChoice:
    """What can be downloaded of a model: a GGUF (with all parts of a split one), or the folder for training."""

    title: str
    kind: str
    files: tuple[HubFile, ...]

    @property
    def bytes(self) -> int:
        """Bytes in all; 0 when the server does not say."""
        return sum(file.bytes for file in self.files)


@dataclass(frozen=True, slots=True)
class HubModel:
    """A model that can be downloaded.

    Attributes:
        name: ``owner/name``, or the file's name.
        address: What the user named.
        revision: The commit all files are of; empty for an address that is no hub's.
        license: As its card states it; empty = it does not.
        is_gated: Whether its owner wants terms accepted on the hub first.
        choices: What can be taken of it, GGUF files first, the smallest first.
        wanted: The choice the address itself names; -1 = none.
    """

    name: str
    address: str
    revision: str
    license: str
    is_gated: bool
    choices: tuple[HubChoice, ...]
    wanted: int = -1


@dataclass(frozen=True, slots=True)
class _Named:
    id: str
    revision: str
    file: str


def is_hub_name(text: str) -> bool:
    """Whether it names a model on the hub: ``owner/name``, ``hf:owner/name@revision:file``."""
    return bool(_NAME.fullmatch(text.strip()))


def hub_token() -> str:
    """The user's token for the hub: in the system's keyring, else in ``HF_TOKEN``."""
    from fmstudio.core.keyring_store import HUB_NAME, read_key

    return read_key(HUB_NAME) or os.environ.get(TOKEN_VARIABLE, "")


def look(address: str, network: Network | None = None) -> HubModel:
    """Ask what can be downloaded there; fetches no weights.

    Raises:
        UserError: The network is off, there is no such model, it holds nothing that can be used, or nobody answers.
    """
    text = address.strip()
    network = network or Network.of_settings("Look at a model", timeout_s=TIMEOUT_S)
    network.require_allowed(text or "That")
    named = _named(text, network.hub)
    client = WebClient(network, token=hub_token())
    try:
        return _ask(named, text, client) if named else _single(text, client)
    except Refused as error:
        raise _refused(text, error.status) from error
    except (OSError, http.client.HTTPException) as error:
        raise UserError(
            f"{text} could not be looked at: {error}.", remedy="Check the address and the connection.", can_retry=True
        ) from error
    except (ValueError, RecursionError) as error:
        raise UserError(
            f"What answers at {urlsplit(network.hub).netloc} does not speak the hub's language.",
            remedy="Check the hub's address in Settings.",
            details=str(error)[:500],
        ) from error


def _named(text: str, hub: str) -> _Named | None:
    """What on the hub is meant; None for another web address.

    Raises:
        UserError: It is neither.
    """
    if match := _NAME.fullmatch(text):
        return _Named(match["id"], match["revision"] or "main", (match["file"] or "").strip())
    try:
        parts = urlsplit(text)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UserError(
            f"“{text}” is neither a model's name nor an address.",
            remedy="For example: owner/name, or https://…/model.gguf",
        )
    is_hub = any(parts.netloc == urlsplit(place).netloc for place in (hub, HUB))
    match = _PLACE.match(parts.path) if is_hub else None
    if match is None:
        return None
    return _Named(match["id"], unquote(match["revision"] or "main"), unquote(match["file"] or ""))


def _ask(named: _Named, address: str, client: WebClient) -> HubModel:
    hub, at = client.network.hub, quote(named.revision, safe="")
    answer = client.read(f"{hub}/api/models/{quote(named.id)}/revision/{at}?blobs=true", MOST_ANSWER)
    told = json.loads(answer.body)
    if not isinstance(told, dict):
        raise ValueError("no object")
    revision = text_of(told.get("sha"), 64) or named.revision
    files = list(_files(told, f"{hub}/{quote(named.id)}/resolve/{quote(revision, safe='')}"))
    choices = tuple(_choices(files))
    if not choices:
        raise _nothing(named.id, files)
    return HubModel(
        name=named.id,
        address=address,
        revision=revision,
        license=_license(told),
        is_gated=bool(told.get("gated")),
        choices=choices,
        wanted=_wanted(named, choices),
    )


def _files(told: dict[str, Any], base: str) -> Iterator[HubFile]:
    siblings = told.get("siblings")
    for one in siblings if isinstance(siblings, list) else []:
        entry = one if isinstance(one, dict) else {}
        path = text_of(entry.get("rfilename"), 1000)
        parts = PurePosixPath(path).parts
        if not path or path.startswith("/") or ".." in parts or "\\" in path:
            continue
        lfs = entry["lfs"] if isinstance(entry.get("lfs"), dict) else {}
        yield HubFile(
            path,
            f"{base}/{quote(path)}",
            count_of(lfs.get("size")) or count_of(entry.get("size")),
            _digest(lfs.get("sha256"), 64),
            "" if lfs else _digest(entry.get("blobId"), 40),
        )


def _digest(value: Any, length: int) -> str:
    text = text_of(value, 100).lower()
    return text if len(text) == length and _HEX.fullmatch(text) else ""


def _license(told: dict[str, Any]) -> str:
    card = told["cardData"] if isinstance(told.get("cardData"), dict) else {}
    stated = card.get("license_name") if card.get("license") == "other" else card.get("license")
    if isinstance(stated, list):
        stated = ", ".join(text_of(one, 100) for one in stated)
    tags = told.get("tags")
    tagged = [text_of(tag)[8:] for tag in tags if text_of(tag).startswith("license:")] if isinstance(tags, list) else []
    return text_of(stated, 200) or ", ".join(tagged)


def _choices(files: list[HubFile]) -> Iterator[HubChoice]:
    groups: dict[str, list[HubFile]] = {}
    for file in files:
        name = PurePosixPath(file.path).name.lower()
        if name.endswith(".gguf") and not name.startswith("mmproj"):
            groups.setdefault(_SPLIT.sub(".gguf", file.path), []).append(file)
    made = [HubChoice(title, "gguf", tuple(sorted(group, key=lambda f: f.path))) for title, group in groups.items()]
    yield from sorted(made, key=lambda choice: (choice.bytes, choice.title))
    top = [file for file in files if "/" not in file.path]
    names = {file.path for file in top}
    for config, stem, kind in (("config.json", "model", "hf"), ("adapter_config.json", "adapter_model", "peft")):
        weights = [n for n in names if n.startswith(stem) and n.endswith(".safetensors")]
        if config in names and weights:
            useful = [f for f in top if f.path.endswith(_FOLDER_SUFFIXES) and _belongs(f.path, stem)]
            yield HubChoice(config.partition("_")[0] if kind == "peft" else "folder", kind, tuple(useful))


def _belongs(path: str, stem: str) -> bool:
    """Of the weights only those that are meant: some repositories hold the same ones twice."""
    return not path.endswith(".safetensors") or path.startswith(stem)


def _wanted(named: _Named, choices: tuple[HubChoice, ...]) -> int:
    """The choice that a file name, or a quantisation such as ``Q4_K_M``, points at.

    Raises:
        UserError: It points at none, or at several.
    """
    if not named.file:
        return 0 if len(choices) == 1 else -1
    wanted = named.file.lower()
    exact = [i for i, c in enumerate(choices) if wanted in (c.title.lower(), *(f.path.lower() for f in c.files))]
    near = exact or [i for i, c in enumerate(choices) if wanted in c.title.lower()]
    if len(near) != 1:
        titles = ", ".join(choice.title for choice in choices)
        raise UserError(f"{named.id} has no single “{named.file}”.", remedy=f"There is: {titles}.")
    return near[0]


def _nothing(name: str, files: list[HubFile]) -> UserError:
    pickles = [file.path for file in files if PurePosixPath(file.path).suffix.lower() in PICKLES]
    if pickles:
        return UserError(
            f"{name} holds its weights as pickles only ({pickles[0]}), which can run any code when they are opened.",
            remedy="Look for a safetensors or GGUF version of it.",
        )
    return UserError(f"{name} holds no GGUF file and no safetensors weights.", remedy="Choose another model.")


def _refused(name: str, status: int) -> UserError:
    if status in (401, 403):
        return UserError(
            f"The hub does not show {name} to everyone (code {status}).",
            remedy="Accept its terms on the hub, and set your token: fmstudio network token.",
        )
    if status == 404:
        return UserError(f"There is no {name} on the hub.", remedy="Check the name; it is written owner/name.")
    return UserError(f"The server answers with code {status} for {name}.", remedy="Try again later.", can_retry=True)


def _single(url: str, client: WebClient) -> HubModel:
    """A single file at an address: its size and hash as the server states them."""
    answer = client.read(url, 0, method="HEAD")
    name = file_name(url)
    if not name.lower().endswith(".gguf"):
        raise UserError(f"{name} is no GGUF file by its name.", remedy="Name a model on the hub, or a .gguf file.")
    tag = answer.headers.get("X-Linked-Etag") or answer.headers.get("ETag") or ""
    size = answer.headers.get("X-Linked-Size") or answer.headers.get("Content-Length") or ""
    file = HubFile(name, url, int(size) if size.isdecimal() else 0, _digest(tag.strip('"'), 64))
    return HubModel(name, url, "", "", False, (HubChoice(name, "gguf", (file,)),), 0)
