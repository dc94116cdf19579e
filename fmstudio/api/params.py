"""`Params`: the one base class for everything a user can set on a contribution.

Menus and forms are generated from these classes: a field's title, description, default and bounds are its
label, tooltip, initial value and validator. A contribution names its own in the class variable ``Params``; its
methods then get an instance of exactly that class (``Any`` in the base classes, so that a plugin writes its own type).

Checking and schemas are pydantic's work. It is loaded when there is something to check: that takes 0.15 s, a quarter of what a
worker needs to begin, and most of what runs has the settings that nobody changed.
"""

from __future__ import annotations

import copy
import inspect
import os
import sys
import types
from collections.abc import Callable
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Self,
    TypeVar,
    dataclass_transform,
    get_args,
    get_origin,
    get_type_hints,
)

if TYPE_CHECKING:
    from pydantic import BaseModel

_P = TypeVar("_P", bound="Params")

# Pydantic looks through all installed packages for plugins of its own, a tenth of what loading it takes; none is wanted.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

_REQUIRED: Any = object()


class _Facts:
    """What `Field` was given."""

    __slots__ = ("default", "default_factory", "others")

    def __init__(self, default: Any, default_factory: Callable[[], Any] | None, others: dict[str, Any]) -> None:
        self.default, self.default_factory, self.others = default, default_factory, others

    def field(self) -> Any:
        """The field as pydantic has it."""
        import pydantic

        others = dict(self.others)
        if self.default_factory is not None:
            others["default_factory"] = self.default_factory
        elif self.default is not _REQUIRED:
            others["default"] = self.default
        return pydantic.Field(**others)

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        raise TypeError("Within the type of a field, use pydantic's own Field.")


def Field(default: Any = _REQUIRED, *, default_factory: Callable[[], Any] | None = None, **facts: Any) -> Any:
    """What is known of a field; see ``pydantic.Field``, which takes the same and may be used as well.

    Args:
        default: Its value when none is given; without one the field must be given.
        default_factory: Makes the default, where each instance needs its own.
        facts: ``title``, ``description``, bounds (``ge``, ``gt``, ``le``, ``lt``, ``min_length``, ``max_length``) and
            ``json_schema_extra``, e.g. ``{"advanced": True}``.
    """
    return _Facts(default, default_factory, facts)


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(Field,))
class _ParamsType(type):
    """Makes the classes: keeps what is written in each for pydantic, and the defaults for when it is not needed."""

    _body: dict[str, Any]
    _names: dict[str, Any]  # module names, or those of a function that a class is written in
    _defaults: dict[str, Any]
    _checks: bool
    _model: type[BaseModel] | None

    def __new__(mcs, name: str, bases: tuple[type, ...], body: dict[str, Any]) -> _ParamsType:
        cls = super().__new__(mcs, name, bases, dict(body))
        cls._body, cls._model = body, None
        frame = sys._getframe(1)
        cls._names = {} if frame.f_globals is frame.f_locals else dict(frame.f_locals)
        known: dict[str, Any] = {}
        for base in reversed(cls.__mro__[1:]):
            known |= base._defaults if isinstance(base, _ParamsType) else {}
        written = inspect.get_annotations(cls)
        for field in body.keys() & known.keys() - written.keys():
            raise TypeError(f"{name}.{field} needs its type again, where another default is given.")
        own = [field for field, kind in written.items() if not _is_none_of_ours(field, kind)]
        cls._defaults = {**known, **{field: body.get(field, _REQUIRED) for field in own}}
        made_by_pydantic = any(type(value).__module__.startswith("pydantic") for value in body.values())
        cls._checks = made_by_pydantic or any(getattr(base, "_checks", False) for base in bases)
        for field in own:
            if field in body:
                delattr(cls, field)
        return cls

    def model(cls) -> type[BaseModel]:
        """The pydantic model of this class, made when it is first asked for."""
        bases = tuple(base.model() for base in cls.__bases__ if isinstance(base, _ParamsType))
        if cls._model is None and not bases:
            cls._model = _root()
        elif cls._model is None:
            hints = get_type_hints(cls, localns=cls._names, include_extras=True)
            body = {name: value.field() if isinstance(value, _Facts) else value for name, value in cls._body.items()}
            body["__annotations__"] = {name: _for_pydantic(hints[name]) for name in inspect.get_annotations(cls)}
            body.pop("__annotate_func__", None)
            body.pop("__classcell__", None)
            cls._model = types.new_class(cls.__name__, bases, exec_body=lambda made: made.update(body))
        return cls._model


def _is_none_of_ours(field: str, kind: Any) -> bool:
    return field.startswith("_") or "ClassVar" in (kind if isinstance(kind, str) else str(kind))


def _for_pydantic(hint: Any) -> Any:
    if get_origin(hint) is not Annotated:
        return hint
    kind, *facts = get_args(hint)
    return Annotated[(kind, *(fact.field() if isinstance(fact, _Facts) else fact for fact in facts))]


def _root() -> type[BaseModel]:
    from pydantic import BaseModel, ConfigDict

    class Root(BaseModel):
        model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    return Root


def _fresh(default: Any) -> Any:
    if isinstance(default, _Facts):
        return default.default_factory() if default.default_factory else copy.deepcopy(default.default)
    return copy.deepcopy(default)


class Params(metaclass=_ParamsType):
    """Validated, immutable settings of one contribution.

    Unknown keys are refused, so that a misspelt name in a recipe or run file is an error and not a silent default. The
    validators of pydantic may be used, and its `Field`.

    Raises:
        pydantic.ValidationError: A value is of the wrong type or out of bounds, a name unknown, a field missing.

    Example:
        >>> from fmstudio.api import Field, Params
        >>> class LengthParams(Params):
        ...     min_words: int = Field(default=5, ge=0, title="Fewest words", description="Shorter rows are dropped.")
        >>> LengthParams().min_words
        5
    """

    def __init__(self, **values: Any) -> None:
        cls = type(self)
        if values or cls._checks or any(_is_required(default) for default in cls._defaults.values()):
            self.__dict__.update(_values(cls, cls.model()(**values)))
        else:
            self.__dict__.update({name: _fresh(default) for name, default in cls._defaults.items()})

    @classmethod
    def field_names(cls) -> tuple[str, ...]:
        """Names of all fields."""
        return tuple(cls._defaults)

    @classmethod
    def model_validate(cls, value: Any) -> Self:
        """Make an instance of a mapping.

        Raises:
            pydantic.ValidationError: See the class.
        """
        return value if isinstance(value, cls) else _made(cls, _values(cls, cls.model().model_validate(value)))

    @classmethod
    def model_json_schema(cls) -> dict[str, Any]:
        """The JSON schema that forms are made from."""
        return cls.model().model_json_schema()

    def model_dump(self, **options: Any) -> dict[str, Any]:
        """The values; ``mode="json"``: as JSON has them. See pydantic for more."""
        return type(self).model().model_construct(**self.__dict__).model_dump(**options)

    def model_copy(self, *, update: dict[str, Any] | None = None) -> Self:
        """A copy with other values, which are not checked."""
        return _made(type(self), {**self.__dict__, **(update or {})})

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{type(self).__name__} cannot be changed; make a copy with model_copy.")

    def __delattr__(self, name: str) -> None:
        self.__setattr__(name, None)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash((type(self), tuple(self.__dict__.items())))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.__dict__.items())})"


def _is_required(default: Any) -> bool:
    if isinstance(default, _Facts):
        return default.default is _REQUIRED and default.default_factory is None
    return default is _REQUIRED


def _values(cls: type[Params], made: BaseModel) -> dict[str, Any]:
    return {name: getattr(made, name) for name in cls.field_names()}


def _made(cls: type[_P], values: dict[str, Any]) -> _P:
    made = object.__new__(cls)
    made.__dict__.update(values)
    return made
