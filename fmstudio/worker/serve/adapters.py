"""The engine's list of LoRA adapters, with llama-server's meaning: an id each, and a scale in force for all turns."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fmstudio.api import AdapterScale
from fmstudio.worker.serve.fields import BadRequestError


class AdapterList:
    """Adapters known to a running engine. Adding one by path is an extension to llama-server's route."""

    def __init__(self, adapters: Sequence[AdapterScale] = ()) -> None:
        self._paths: list[Path] = []
        self._scales: dict[int, float] = {}
        for adapter in adapters:
            self._scales[self._id_of(adapter.path)] = adapter.scale

    def as_json(self) -> list[dict[str, Any]]:
        """Body of ``GET /lora-adapters``."""
        return [
            {"id": number, "path": str(path), "scale": self._scales.get(number, 0.0)}
            for number, path in enumerate(self._paths)
        ]

    def in_force(self) -> tuple[AdapterScale, ...]:
        """The adapters that act when a request names none."""
        return self._scaled(self._scales)

    def read(self, items: Any) -> dict[int, float]:
        """Read ``[{"id" | "path", "scale"}]``; new paths get an id. What is not listed is off.

        Raises:
            BadRequestError: An unknown id, a path that is no file, or a scale that is no number.
        """
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise BadRequestError('Give a list of {"id" or "path", "scale"}.', "lora")
        return dict(self._read_one(item) for item in items)

    def resolve(self, items: list[dict[str, Any]]) -> tuple[AdapterScale, ...]:
        """The adapters of one request: those it names, or those in force when it names none."""
        return self._scaled(self.read(items)) if items else self.in_force()

    def put_in_force(self, scales: dict[int, float]) -> None:
        """Make these act from the next request on."""
        self._scales = dict(scales)

    def scaled(self, scales: dict[int, float]) -> tuple[AdapterScale, ...]:
        """What a backend needs for these ids and scales."""
        return self._scaled(scales)

    def _scaled(self, scales: dict[int, float]) -> tuple[AdapterScale, ...]:
        return tuple(AdapterScale(self._paths[number], scale) for number, scale in scales.items() if scale)

    def _read_one(self, item: dict[str, Any]) -> tuple[int, float]:
        scale = item.get("scale", 1.0)
        if isinstance(scale, bool) or not isinstance(scale, int | float) or not -100 <= scale <= 100:
            raise BadRequestError("scale must be a number between -100 and 100.", "scale")
        if "path" in item:
            path = Path(str(item["path"]))
            if not path.is_absolute() or not path.is_file():
                raise BadRequestError(f"There is no adapter file “{path}”.", "path")
            return self._id_of(path), float(scale)
        number = item.get("id")
        if type(number) is not int or not 0 <= number < len(self._paths):
            raise BadRequestError(f"There is no adapter with the id {number!r}.", "id")
        return number, float(scale)

    def _id_of(self, path: Path) -> int:
        if path not in self._paths:
            self._paths.append(path)
        return self._paths.index(path)
