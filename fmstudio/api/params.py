"""`Params`: the one base class for everything a user can set on a contribution.

Menus and forms are generated from these models: a field's title, description, default and bounds are its
label, tooltip, initial value and validator. A contribution names its model in the class variable ``Params``; its
methods then get an instance of exactly that model (``Any`` in the base classes, so that a plugin writes its own type).
"""

from __future__ import annotations

import os

# Pydantic looks through all installed packages for plugins of its own, a tenth of what loading it takes; none is wanted.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

from pydantic import BaseModel, ConfigDict


class Params(BaseModel):
    """Validated, immutable settings of one contribution.

    Unknown keys are refused, so that a misspelt name in a recipe or run file is an error and not a silent default.

    Example:
        >>> from pydantic import Field
        >>> class LengthParams(Params):
        ...     min_words: int = Field(default=5, ge=0, title="Fewest words", description="Shorter rows are dropped.")
    """

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())
