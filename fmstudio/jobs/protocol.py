"""The wire between app and worker: one JSON object a line, one frozen dataclass per message."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, TypeAlias

from fmstudio.core.jsonfile import to_json


@dataclass(frozen=True, slots=True)
class Hello:
    """Worker → app, first message: the worker lives."""

    type: ClassVar[str] = "hello"
    pid: int


@dataclass(frozen=True, slots=True)
class Ready:
    """Engine → app: the server listens on loopback."""

    type: ClassVar[str] = "ready"
    port: int
    info: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Progress:
    """Worker → app: units done, of how many (None = unknown), and what they are."""

    type: ClassVar[str] = "progress"
    done: float
    total: float | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class Metric:
    """Worker → app: a measured number at a step."""

    type: ClassVar[str] = "metric"
    name: str
    value: float
    step: int | None = None


@dataclass(frozen=True, slots=True)
class Log:
    """Worker → app: a log line."""

    type: ClassVar[str] = "log"
    text: str
    level: str = "info"


@dataclass(frozen=True, slots=True)
class Artifact:
    """Worker → app: a file that was made."""

    type: ClassVar[str] = "artifact"
    kind: str
    path: str
    meta: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Error:
    """Worker → app: the task failed; see `Problem` for what the fields mean."""

    type: ClassVar[str] = "error"
    message: str
    remedy: str = ""
    details: str = ""
    is_user_error: bool = False
    can_retry: bool = False
    remedy_action: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Done:
    """Worker → app: the step ended well; success only together with exit code 0."""

    type: ClassVar[str] = "done"
    result: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Request:
    """App → session worker: do this and answer with the same id."""

    type: ClassVar[str] = "request"
    id: int
    method: str
    params: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Response:
    """Session worker → app: the answer; exactly one of `result` and `error` is set (error: fields of `Error`)."""

    type: ClassVar[str] = "response"
    id: int
    result: dict[str, Any] | None = None
    error: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Cancel:
    """App → worker: stop soon; the worker answers by ending."""

    type: ClassVar[str] = "cancel"


@dataclass(frozen=True, slots=True)
class Shutdown:
    """App → session or engine: end when idle."""

    type: ClassVar[str] = "shutdown"


Wire: TypeAlias = (
    Hello | Ready | Progress | Metric | Log | Artifact | Error | Done | Request | Response | Cancel | Shutdown
)

_TYPES: dict[str, Any] = {
    cls.type: cls
    for cls in (Hello, Ready, Progress, Metric, Log, Artifact, Error, Done, Request, Response, Cancel, Shutdown)
}


def encode(message: Wire) -> str:
    """One line of JSON, newline included."""
    return to_json({"type": message.type, **asdict(message)}) + "\n"


def decode(line: str) -> Wire | None:
    """Read a line; None for anything that is no message of ours (stray output never breaks the stream)."""
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return from_dict(value)


def from_dict(value: Any) -> Wire | None:
    """Make the message a JSON object stands for; keys that are not of the message are passed over, else None."""
    cls = _TYPES.get(value.get("type", "")) if isinstance(value, dict) else None
    if cls is None:
        return None
    try:
        message: Wire = cls(**{key: value[key] for key in cls.__dataclass_fields__ if key in value and key != "type"})
    except TypeError:
        return None
    return message
