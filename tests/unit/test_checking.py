"""What is said of parameters and names that do not fit."""

from __future__ import annotations

import pytest

from fmstudio.api import Field, Params, UserError
from fmstudio.core.checking import make_params, nearest


class Kind:
    """Something with parameters."""

    class Params(Params):
        column: str
        seed: int = Field(default=1, ge=0)


def test_the_nearest_name_or_the_first_of_many() -> None:
    names = [f"column {i}" for i in range(200)]
    assert nearest("colum 7", names) == "Did you mean “column 7”?"
    said = nearest("zzz", names)
    assert said.startswith("There is: column 0, column 1,") and said.endswith("column 19 and 180 more.")
    assert nearest("zzz", ["a", "b"]) == "There is: a, b."
    assert nearest("zzz", []) == "There is: none."


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"seed": 3}, "Split: “column” is missing."),
        ({"column": "a", "seed": -1}, "Split: “seed” is -1: input should be greater than or equal to 0."),
        ({"column": "a", "sed": 1}, "Split: there is no parameter “sed”."),
    ],
)
def test_each_parameter_that_does_not_fit_is_named(values: dict[str, object], said: str) -> None:
    with pytest.raises(UserError) as caught:
        make_params(Kind, values, "Split")
    assert caught.value.message == said
