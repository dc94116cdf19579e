"""Settings: checked by pydantic, which is loaded only when there is something to check."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from typing import Annotated, Any, ClassVar, Literal

import pydantic
import pytest

from fmstudio.api import Field, Params


class Plain(Params):
    """What most plugins have."""

    limit: ClassVar[int] = 9
    words: int = Field(default=5, ge=0, title="Words", description="Fewest.")
    how: Literal["fast", "exact"] = "fast"
    names: list[str] = Field(default_factory=list, title="Names")
    share: Annotated[float, Field(gt=0, le=1)] = 0.5

    @property
    def twice(self) -> int:
        return 2 * self.words


class Wider(Plain):
    """More than its base, and another default."""

    words: int = 7
    needed: str


class Same(Wider):
    """Adds nothing."""


class Checked(Params):
    """With pydantic's own tools."""

    low: int = pydantic.Field(default=1, ge=0)
    high: int = 2

    @pydantic.model_validator(mode="after")
    def _in_order(self) -> Checked:
        if self.low > self.high:
            raise ValueError("low is above high")
        return self


def test_defaults_are_there_and_fresh_each_time() -> None:
    one, other = Plain(), Plain()
    assert (one.words, one.how, one.names, one.share, one.twice, Plain.limit) == (5, "fast", [], 0.5, 10, 9)
    assert one == other and one.names is not other.names and one != Plain(words=6)
    assert Plain.field_names() == ("words", "how", "names", "share")
    assert hash(Checked()) == hash(Checked()) and repr(Checked(high=3)) == "Checked(low=1, high=3)"


@pytest.mark.parametrize(
    ("kind", "values", "where"),
    [
        (Plain, {"words": -1}, "words"),
        (Plain, {"how": "slow"}, "how"),
        (Plain, {"share": 0}, "share"),
        (Plain, {"word": 1}, "word"),
        (Wider, {}, "needed"),
        (Wider, {"needed": "x", "share": 2}, "share"),
        (Checked, {"low": -1}, "low"),
        (Checked, {"low": 3}, ""),
    ],
)
def test_what_is_wrong_is_refused(kind: type[Params], values: dict[str, Any], where: str) -> None:
    with pytest.raises(pydantic.ValidationError) as caught:
        kind(**values)
    assert [".".join(map(str, error["loc"])) for error in caught.value.errors()] == [where]
    with pytest.raises(pydantic.ValidationError):
        kind.model_validate(values)


def test_values_are_made_what_they_should_be() -> None:
    made = Wider(needed="x", words="12", share="0.25")  # type: ignore[arg-type]
    assert (made.words, made.share, made.twice) == (12, 0.25, 24) and isinstance(made, Plain)
    assert Wider.model_validate(made) is made and Wider.model_validate(made.model_dump()) == made
    assert made.model_dump(mode="json", exclude={"names"}) == {"words": 12, "how": "fast", "share": 0.25, "needed": "x"}
    assert Same(needed="x") == Same(needed="x", words=7) and Same.field_names() == Wider.field_names()
    assert made.model_copy(update={"words": 1}).words == 1 and made.words == 12
    assert pickle.loads(pickle.dumps(made)) == made == copy.deepcopy(made)


def test_nothing_can_be_changed() -> None:
    with pytest.raises(AttributeError, match="cannot be changed"):
        Plain().words = 3  # type: ignore[misc]
    with pytest.raises(AttributeError):
        del Plain().words


def test_the_schema_is_that_of_a_pydantic_model() -> None:
    class Model(pydantic.BaseModel):
        """What most plugins have."""

        words: int = pydantic.Field(default=5, ge=0, title="Words", description="Fewest.")
        how: Literal["fast", "exact"] = "fast"
        names: list[str] = pydantic.Field(default_factory=list, title="Names")
        share: Annotated[float, pydantic.Field(gt=0, le=1)] = 0.5

    there = Plain.model_json_schema()
    assert there == {**Model.model_json_schema(), "title": "Plain", "additionalProperties": False}


def test_types_of_a_function_are_known() -> None:
    Size = Literal["small", "large"]

    class Local(Params):
        size: Size = "small"

    assert Local(size="large").size == "large"
    with pytest.raises(pydantic.ValidationError):
        Local(size="huge")  # type: ignore[arg-type]


def test_what_would_be_ignored_is_refused() -> None:
    with pytest.raises(TypeError, match=r"Narrow\.words needs its type"):
        type(Params)("Narrow", (Plain,), {"words": 3, "__module__": __name__})

    class Nested(Params):
        names: list[Annotated[str, Field(min_length=1)]] = Field(default_factory=list)

    with pytest.raises(TypeError, match="pydantic's own Field"):
        Nested(names=["x"])


def test_a_worker_that_checks_nothing_loads_no_pydantic() -> None:
    code = (
        "import sys; from fmstudio.plugin_manager import PluginManager; from fmstudio.core.checking import make_params\n"
        "for one in PluginManager().contributions('importer'): make_params(one.load(), {}, one.title)\n"
        "print([name for name in sys.modules if name == 'pydantic'])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
