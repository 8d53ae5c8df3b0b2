"""What a parameter of the space may be: a fixed value, a choice, or a range of whole or real numbers."""

import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    RootModel,
    Strict,
    Tag,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import BaseTrial

WholeNumber = Annotated[int, Strict()]
RealNumber = Annotated[float, Strict(), Field(allow_inf_nan=False)]  # strict still takes a whole number
TrueOrFalse = Annotated[bool, Strict()]
Text = Annotated[str, Strict()]
Scalar = TrueOrFalse | WholeNumber | RealNumber | Text | None


def _check_value(value: object) -> object:
    """Says in one message what the alternatives of ``Value`` would say in one message each."""
    for item in value if isinstance(value, list | tuple) else (value,):
        if not isinstance(item, bool | int | float | str | None) or (isinstance(item, float) and math.isinf(item)):
            raise PydanticCustomError("value", "Expected a number, text, true, false or a list of these.")
    return value


# A tuple is a list in the file, e.g. the widths of several layers.
Value = Annotated[Scalar | tuple[Scalar, ...], BeforeValidator(_check_value)]

KINDS = ("choice", "int", "float")


class Model(BaseModel):
    """Frozen; unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Between(Model):
    """Numbers between two, both included; either may be left out."""

    min: RealNumber | None = None
    max: RealNumber | None = None


def _check_condition(condition: object) -> object:
    """Says what is wrong with a range before the other alternatives of ``Condition`` say what it is not."""
    if not isinstance(condition, Mapping):
        return condition
    given = [value for value in condition.values() if value is not None]
    numbers = [value for value in given if type(value) in (int, float) and math.isfinite(value)]
    if not numbers or condition.keys() - {"min", "max"} or len(numbers) != len(given):
        raise PydanticCustomError("range", "Expected a value, a list of values, or a range of min and max.")
    return Between(**condition)


# What is asked of another parameter: a value, one of several, or a range.
Condition = Annotated[Scalar | tuple[Value, ...] | Between, BeforeValidator(_check_condition)]


class Fixed(RootModel[Value]):
    """A value that every trial gets."""

    model_config = ConfigDict(frozen=True)

    @property
    def when(self) -> dict[str, Condition]:
        return {}

    def allows(self, value: object) -> bool:
        return same(self.root, value)

    def distribution(self) -> None:
        """None: there is nothing to search."""

    def suggest(self, trial: "BaseTrial", name: str) -> Any:
        return plain(self.root)

    def encode(self, value: Any) -> Any:
        return value

    def facts(self) -> Any:
        return plain(self.root)


class _Searched(Model):
    when: dict[str, Condition] = Field(
        default={},
        description="other parameter -> the value, list of values or range {min, max} that makes this parameter part "
        "of a trial; with several, all must hold",
    )

    def distribution(self) -> "BaseDistribution":
        """How Optuna sees the parameter."""
        raise NotImplementedError

    def grid(self) -> list[Any] | None:
        """Every value as Optuna holds it, or None where there are endlessly many."""
        raise NotImplementedError

    def encode(self, value: Any) -> Any:
        """A value of the parameter as Optuna holds it."""
        return value

    def facts(self) -> Any:
        """The parameter as it would stand in a file, in JSON values."""
        return json.loads(self.model_dump_json(by_alias=True, exclude_defaults=True))


class Choice(_Searched):
    """One of a few values, without an order among them."""

    options: tuple[Value, ...] = Field(alias="choice", min_length=1, description="the values; lists are allowed")

    @field_validator("options")
    @classmethod
    def _each_once(cls, options: tuple[Value, ...]) -> tuple[Value, ...]:
        # As Optuna compares them: it could tell neither 1 from 1.0 nor 1 from true.
        encoded = [encode_option(option) for option in options]
        for i, option in enumerate(options):
            if encoded[i] in encoded[:i]:
                raise PydanticCustomError("twice", "Expected each choice once. Received {value} twice.",
                                          {"value": repr(plain(option))})  # fmt: skip
        return options

    def allows(self, value: object) -> bool:
        return any(same(option, value) for option in self.options)

    def distribution(self) -> "BaseDistribution":
        from optuna.distributions import CategoricalDistribution

        return CategoricalDistribution([encode_option(option) for option in self.options])

    def grid(self) -> list[Any] | None:
        return [encode_option(option) for option in self.options]

    def suggest(self, trial: "BaseTrial", name: str) -> Any:
        encoded = [encode_option(option) for option in self.options]
        return plain(self.options[encoded.index(trial.suggest_categorical(name, encoded))])

    def encode(self, value: Any) -> Any:
        return encode_option(value)


class IntRange(_Searched):
    """A whole number between two, both included."""

    bounds: tuple[WholeNumber, WholeNumber] = Field(alias="int", description="lowest and highest, both included")
    step: WholeNumber = Field(default=1, ge=1, description="distance between values, counted from the lowest")
    log: TrueOrFalse = Field(default=False, description="search evenly over orders of magnitude")

    @model_validator(mode="after")
    def _check(self) -> Self:
        _check_range(*self.bounds, self.log, None if self.step == 1 else self.step)
        return self

    def allows(self, value: object) -> bool:
        low, high = self.bounds
        return type(value) is int and low <= value <= high and (value - low) % self.step == 0

    def distribution(self) -> "BaseDistribution":
        from optuna.distributions import IntDistribution

        return IntDistribution(*self.bounds, log=self.log, step=self.step)

    def grid(self) -> list[Any] | None:
        return list(range(self.bounds[0], self.bounds[1] + 1, self.step))

    def suggest(self, trial: "BaseTrial", name: str) -> Any:
        return trial.suggest_int(name, *self.bounds, log=self.log, step=self.step)


class FloatRange(_Searched):
    """A real number between two, both included."""

    bounds: tuple[RealNumber, RealNumber] = Field(alias="float", description="lowest and highest, both included")
    step: RealNumber | None = Field(default=None, gt=0, description="distance between values, counted from the lowest")
    log: TrueOrFalse = Field(default=False, description="search evenly over orders of magnitude")

    @model_validator(mode="after")
    def _check(self) -> Self:
        _check_range(*self.bounds, self.log, self.step)
        return self

    def allows(self, value: object) -> bool:
        low, high = self.bounds
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            return False
        return self.step is None or _on_grid(value - low, self.step)

    def distribution(self) -> "BaseDistribution":
        from optuna.distributions import FloatDistribution

        return FloatDistribution(*self.bounds, log=self.log, step=self.step)

    def grid(self) -> list[Any] | None:
        low, high = self.bounds
        if self.step is None:
            return None
        return [min(high, low + i * self.step) for i in range(round((high - low) / self.step) + 1)]

    def suggest(self, trial: "BaseTrial", name: str) -> Any:
        return trial.suggest_float(name, *self.bounds, log=self.log, step=self.step)

    def encode(self, value: Any) -> Any:
        return float(value)


def _kind(value: object) -> str | None:
    """Which of the four a value of the file is meant to be; None when a mapping says none of them."""
    if isinstance(value, Mapping):
        return next((kind for kind in KINDS if kind in value), None)
    kinds = {Choice: "choice", IntRange: "int", FloatRange: "float"}
    return kinds.get(type(value), "fixed")  # type: ignore[call-overload]


Parameter = Annotated[
    Annotated[Fixed, Tag("fixed")]
    | Annotated[Choice, Tag("choice")]
    | Annotated[IntRange, Tag("int")]
    | Annotated[FloatRange, Tag("float")],
    Discriminator(_kind),
]


def encode_option(value: Any) -> "bool | int | float | str | None":
    """A choice as Optuna holds it: its categories must be scalars, so a list travels as JSON."""
    return json.dumps(plain(value)) if isinstance(value, list | tuple) else value


def holds(condition: Condition, value: object) -> bool:
    """Whether a parameter's value fulfils a condition on it."""
    if isinstance(condition, Between):
        low, high = condition.min, condition.max
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and (low is None or low <= value) and (high is None or value <= high)  # type: ignore[operator]
    return any(same(wanted, value) for wanted in alternatives(condition))


def alternatives(condition: Condition) -> tuple[Value, ...]:
    """The values that fulfil a condition, as far as it names them."""
    if isinstance(condition, Between):
        return ()
    return condition if isinstance(condition, tuple) else (condition,)


def same(one: object, other: object) -> bool:
    """Equality as a reader of the file sees it: ``true`` is not 1, a list is its items, 1 is 1.0."""
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and one == other


def plain(value: Any) -> Any:
    """Tuples as lists: values leave this room as they were written, and as JSON gives them back."""
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value


def _check_range(low: float, high: float, log: bool, step: float | None) -> None:
    def refuse(expected: str, received: object) -> None:
        raise PydanticCustomError("range", "Expected {expected}. Received {received}.",
                                  {"expected": expected, "received": str(received)})  # fmt: skip

    if low > high:
        refuse("the lowest value before the highest", f"[{low}, {high}]")
    if log and low <= 0:
        refuse("a lowest value above 0 with log", low)
    if log and step is not None:
        refuse("log or step, not both", "both")
    if step is not None and not _on_grid(high - low, step):
        # Optuna would lower the highest value, with a warning at every trial.
        refuse("a highest value that steps from the lowest one reach", f"[{low}, {high}] in steps of {step}")


def _on_grid(distance: float, step: float) -> bool:
    steps = distance / step
    return math.isclose(steps, round(steps), abs_tol=1e-8)
