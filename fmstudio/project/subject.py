"""`subject`: a part of the facade that is imported and made when it is first asked for.

Opening a project then costs what its first page needs; the rest of the store's code comes with its first use.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

Made = TypeVar("Made")
_lock = threading.RLock()


class subject(Generic[Made]):
    """As `functools.cached_property`, but several threads that ask at once get the same object on every Python.

    (`cached_property` has no lock from Python 3.12 on; store threads would make two.)
    """

    def __init__(self, make: Callable[[Any], Made]) -> None:
        self._make = make
        self.__doc__ = make.__doc__

    def __set_name__(self, _owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, owner: None, kind: type) -> subject[Made]: ...
    @overload
    def __get__(self, owner: object, kind: type) -> Made: ...
    def __get__(self, owner: object | None, kind: type) -> subject[Made] | Made:
        if owner is None:
            return self
        with _lock:
            if self._name not in owner.__dict__:
                owner.__dict__[self._name] = self._make(owner)
        made: Made = owner.__dict__[self._name]
        return made
