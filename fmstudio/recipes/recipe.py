"""`Recipe`: a named list of steps, as data. Knows its YAML form; knows nothing of operators' code.

```yaml
name: Clean chat
steps:
  - operator: normalise_text
  - operator: length_filter
    params: {min_words: 3}
```
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fmstudio.api import UserError
from fmstudio.core.checking import nearest


@dataclass(frozen=True)
class Step:
    """One operator and what is set on it; what is not set has its default."""

    operator: str
    params: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Recipe:
    """Steps in the order they run."""

    name: str
    steps: tuple[Step, ...] = ()
    description: str = ""

    @classmethod
    def load(cls, path: Path) -> Recipe:
        """Read a recipe file.

        Raises:
            UserError: It cannot be read, is broken YAML or has another shape; the message names line or step.
        """
        import yaml

        try:
            data = yaml.safe_load(path.read_text("utf-8"))
        except OSError as error:
            raise UserError(f"The recipe {path} cannot be read: {error.strerror}.") from error
        except UnicodeDecodeError as error:
            raise UserError(f"The recipe {path} is not UTF-8 text (byte {error.start}).") from error
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
            problem = getattr(error, "problem", None) or error
            raise UserError(f"The recipe {path.name}{place}: broken YAML: {problem}.") from error
        return cls.of(data, name=path.stem)

    @classmethod
    def of(cls, data: Any, name: str = "Recipe") -> Recipe:
        """Read what `to_dict` gave, or a hand-written form of it.

        Raises:
            UserError: It has another shape; the message names the step and key.
        """
        if not isinstance(data, dict) or not isinstance(data.get("steps"), list):
            raise UserError("A recipe is a mapping with a list of “steps”.", remedy="Give name: and steps:.")
        _only(data, ("name", "description", "steps"), "The recipe")
        steps = tuple(_step(item, number) for number, item in enumerate(data["steps"], 1))
        return cls(str(data.get("name") or name), steps, str(data.get("description") or ""))

    def to_dict(self) -> dict[str, Any]:
        """Give the recipe as plain data, without what is empty."""
        about = {"description": self.description} if self.description else {}
        steps = [{"operator": s.operator} | ({"params": dict(s.params)} if s.params else {}) for s in self.steps]
        return {"name": self.name, **about, "steps": steps}

    def save(self, path: Path) -> None:
        """Write the recipe as YAML; the file appears whole or not at all."""
        import yaml

        from fmstudio.core.jsonfile import write_text

        write_text(path, yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True))


def _step(item: Any, number: int) -> Step:
    if isinstance(item, str):
        return Step(item)
    if not isinstance(item, dict) or not isinstance(item.get("operator"), str):
        raise UserError(f"Step {number} of the recipe names no operator.", remedy="Write: - operator: NAME")
    _only(item, ("operator", "params"), f"Step {number} ({item['operator']})")
    params = item.get("params") or {}
    if not isinstance(params, dict):
        raise UserError(f"Step {number} ({item['operator']}): params is no mapping of names to values.")
    return Step(item["operator"], {str(key): value for key, value in params.items()})


def _only(data: dict[str, Any], keys: tuple[str, ...], place: str) -> None:
    for key in data:
        if key not in keys:
            raise UserError(f"{place}: there is no key “{key}”.", remedy=nearest(str(key), keys))
