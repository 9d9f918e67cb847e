"""Decode plain values (from TOML) into the frozen dataclasses of a scenario, and back; every error at once."""

from __future__ import annotations

import dataclasses
import difflib
import reprlib
import types
import typing
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, Literal, TypeVar

from pydantic_core import CoreSchema, SchemaValidator, ValidationError, core_schema

import adversaries
import policies
import sim
import workloads
from sim.contracts import Part, named_field
from workloads.traces import formats
from zoo.text import visible

Decoded = TypeVar("Decoded")
MOST_PROBLEMS = 20
LEAST_HUGE = 2**63
Path = tuple[str, ...]
Contracts = dict[str, CoreSchema | None]

_ADDED: dict[str, type[Part]] = {}
"""Parts of users by kind, for this process."""

PLAIN, TABLE = "plain value", "table"

_TYPE_WORDS = {
    "float_type": "a number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "greater_than": "a whole number of 64 bits",
    "less_than": "a whole number of 64 bits",
    "string_type": "a text",
    "bool_type": "true or false",
    "dict_type": "a table",
    "list_type": "a list",
}


@dataclasses.dataclass(frozen=True)
class Problem:
    """Hold one thing that is wrong.

    Attributes:
        path: where, as the keys from the root.
        message: the value found and what is allowed, in one line.
    """

    path: Path
    message: str


class DecodeError(ValueError):
    """Hold everything that is wrong in the values of a scenario."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__(self.problems)  # what pickling between processes hands to __init__ again

    def __str__(self) -> str:
        """Return a line a problem: its path and its message."""
        return "\n".join(visible(f"{'.'.join(problem.path)}: {problem.message}") for problem in self.problems)


def decode(kind: type[Decoded], values: Mapping[str, Any]) -> Decoded:
    """Build a dataclass from plain values, as TOML gives them.

    A field whose type is a contract takes ``{kind = "...", parameters}``, or the bare kind for its defaults.

    Args:
        kind: the dataclass.
        values: keys as in the scenario file.

    Raises:
        DecodeError: with all that is wrong.
    """
    try:
        return typing.cast(
            "Decoded", _validator(typing.cast("typing.Hashable", kind)).validate_python(dict(values), strict=True)
        )
    except ValidationError as wrong:
        raise DecodeError(_problems(kind, wrong)) from None


def encode(value: Any) -> Any:
    """Return the plain values that ``decode`` reads back to an equal object; None is left out."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        pairs = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        encoded = {name: encode(part) for name, part in pairs.items() if part is not None}
        return {"kind": value.kind} | encoded if isinstance(value, Part) else encoded
    if isinstance(value, dict):
        return {name: encode(part) for name, part in value.items()}
    if isinstance(value, tuple):
        return [encode(part) for part in value]
    return value


def kinds(contract: type[Part]) -> dict[str, type[Part]]:
    """Return the classes that a scenario file can name where a contract stands, by kind.

    They are those that the packages export: a new one needs its class and one line of export.
    """
    exported = (
        getattr(package, name)
        for package in (sim, workloads, formats, policies, adversaries)
        for name in package.__all__
    )
    classes = [part for part in exported if isinstance(part, type) and issubclass(part, contract)]
    ours = {part.kind: part for part in classes if hasattr(part, "kind")}
    return ours | {kind: part for kind, part in _ADDED.items() if issubclass(part, contract)}


def add_part(kind: str, part: type[Part]) -> str:
    """Let scenarios name a class that no package exports, and give the class that kind.

    Args:
        kind: what the scenario file says, such as ``my_module:MyPolicy``.
        part: the class.

    Returns:
        The kind.
    """
    part.kind = kind
    _ADDED[kind] = part
    _validator.cache_clear()
    return kind


def added_modules() -> set[str]:
    """Return the names of the modules that users' parts come from."""
    return {part.__module__ for part in _ADDED.values()}


@cache
def _validator(kind: typing.Hashable) -> SchemaValidator:
    contracts: Contracts = {}
    schema = _schema(kind, contracts)
    return SchemaValidator(core_schema.definitions_schema(schema, [part for part in contracts.values() if part]))


def _schema(kind: Any, contracts: Contracts) -> CoreSchema:
    """Return the validation schema of a type, strict: a text is no number, and an unknown key is an error.

    Args:
        kind: the type.
        contracts: schemas of the contracts met so far, by name (None while one is being made): a part may hold others
            of its own contract.
    """
    simple: dict[Any, CoreSchema] = {
        float: core_schema.float_schema(),
        int: core_schema.int_schema(gt=-LEAST_HUGE, lt=LEAST_HUGE),
        str: core_schema.str_schema(),
        bool: core_schema.bool_schema(),
        Any: core_schema.any_schema(),
    }
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind in simple:
        return simple[kind]
    if origin is Literal:
        return core_schema.literal_schema(list(arguments))
    if origin is tuple:
        items = core_schema.list_schema(_schema(arguments[0], contracts))
        return core_schema.no_info_after_validator_function(tuple, items)
    if origin is dict:
        return core_schema.dict_schema(core_schema.str_schema(), _schema(arguments[1], contracts))
    if origin in (types.UnionType, typing.Union):
        return core_schema.nullable_schema(_choice_schema(_choices(kind), contracts))
    if issubclass(kind, Part) and not hasattr(kind, "kind"):
        return _part_schema(kind, contracts)
    schema = _fields_schema(kind, contracts)
    return _without_kind(schema) if issubclass(kind, Part) else schema


def _choice_schema(choices: dict[str, Any], contracts: Contracts) -> CoreSchema:
    """Return the schema of a type that is a number or a table: the value's own kind tells which."""
    schemas = {name: _schema(part, contracts) for name, part in choices.items()}
    if len(schemas) == 1:
        return next(iter(schemas.values()))
    return core_schema.tagged_union_schema(
        schemas, discriminator=lambda value: TABLE if isinstance(value, dict) else PLAIN
    )


def _choices(kind: Any) -> dict[str, Any]:
    """Return what a union is of, None left out: a plain value and a table, or one of them."""
    parts = [part for part in typing.get_args(kind) if part is not types.NoneType]
    return {TABLE if len(parts) > 1 and dataclasses.is_dataclass(part) else PLAIN: part for part in parts}


def _fields_schema(kind: type, contracts: Contracts) -> CoreSchema:
    hints = typing.get_type_hints(kind)
    fields = {
        field.name: core_schema.typed_dict_field(_schema(hints[field.name], contracts), required=_required(field))
        for field in dataclasses.fields(kind)
    }
    values = core_schema.typed_dict_schema(fields, extra_behavior="forbid")
    return core_schema.no_info_after_validator_function(lambda given: kind(**given), values)


def _part_schema(contract: type[Part], contracts: Contracts) -> CoreSchema:
    name = contract.__name__
    if name not in contracts:
        contracts[name] = None
        choices = {kind: _schema(part, contracts) for kind, part in kinds(contract).items()}
        tagged = core_schema.tagged_union_schema(choices, discriminator=lambda value: value.get("kind"))
        contracts[name] = core_schema.no_info_before_validator_function(_expand, tagged, ref=name)
    return core_schema.definition_reference_schema(name)


def _expand(value: Any) -> Any:
    """Read a bare text as that kind with its defaults."""
    if isinstance(value, str):
        return {"kind": value}
    if not isinstance(value, dict):
        raise ValueError(f"found {shortened(value)}; expected a kind, or a table with one")  # noqa: TRY004 -- pydantic's protocol
    return value


def _without_kind(schema: CoreSchema) -> CoreSchema:
    return core_schema.no_info_before_validator_function(
        lambda value: {name: part for name, part in value.items() if name != "kind"}, schema
    )


def _required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _problems(root: type, wrong: ValidationError) -> list[Problem]:
    """Return the first problems, and how many more there are: each takes a while to put into words."""
    errors = wrong.errors(include_url=False)
    shown = [_problem(root, error) for error in errors[:MOST_PROBLEMS]]
    rest = len(errors) - len(shown)
    return [*shown, Problem((), f"{rest:,} more problems are not shown")] if rest else shown


def _problem(root: type, error: Any) -> Problem:
    """Turn an error of pydantic into a path of the file and one line."""
    path, kind = _walk(root, error["loc"])
    found, code = error["input"], error["type"]
    if code == "extra_forbidden":
        owner = _walk(root, error["loc"][:-1])[1]
        allowed = [field.name for field in dataclasses.fields(owner)]
        return Problem(path, f"unknown key; allowed: {', '.join(allowed)}{nearest(path[-1], allowed)}")
    if code == "missing":
        return Problem(path, "missing; it has no default")
    if code in {"union_tag_invalid", "union_tag_not_found"}:
        allowed = list(kinds(kind))
        given = found.get("kind")
        if given is None:
            return Problem(path, f"no kind; allowed: {', '.join(allowed)}")
        return Problem(path, f"found {shortened(given)}; allowed: {', '.join(allowed)}{nearest(str(given), allowed)}")
    if code == "literal_error":
        allowed = [str(value) for value in typing.get_args(_bare(kind))]
        return Problem(path, f"found {shortened(found)}; allowed: {', '.join(allowed)}{nearest(str(found), allowed)}")
    if code == "value_error":
        message = str(error["ctx"]["error"])
        return Problem((*path, *named_field(kind, message)), message)
    return Problem(path, f"found {shortened(found)}; expected {_TYPE_WORDS.get(code, error['msg'])}")


def _walk(root: type, location: tuple[Any, ...]) -> tuple[Path, Any]:
    """Follow an error's location: return the keys of the file (without the kinds) and the type that stands there."""
    kind: Any = root
    path: list[str] = []
    for step in location:
        if step in (PLAIN, TABLE) and len(_choices(kind)) > 1:
            kind = _choices(kind)[step]
            continue
        kind = _bare(kind)
        if isinstance(kind, type) and issubclass(kind, Part) and step in kinds(kind):
            kind = kinds(kind)[step]
            continue
        path.append(str(step))
        if typing.get_origin(kind) in (dict, tuple):
            kind = typing.get_args(kind)[-1 if typing.get_origin(kind) is dict else 0]
        else:
            kind = typing.get_type_hints(kind).get(step)
    return tuple(path), _bare(kind)


def _bare(kind: Any) -> Any:
    """Return the type inside ``X | None``."""
    return typing.get_args(kind)[0] if typing.get_origin(kind) in (types.UnionType, typing.Union) else kind


def nearest(word: str, allowed: list[str]) -> str:
    """Return the words that ask whether the nearest allowed name was meant; nothing if none is near."""
    close = difflib.get_close_matches(word, allowed, n=1) if len(word) <= 100 else []
    return f"; did you mean {close[0]!r}?" if close else ""


def shortened(value: Any) -> str:
    """Return a value as messages show it, in at most 60 characters or so, however large it is."""
    if isinstance(value, int) and abs(value) >= LEAST_HUGE:
        return "a whole number beyond 64 bits"
    text = _Shortened().repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


class _Shortened(reprlib.Repr):
    """Show values in part, and numbers of thousands of digits not at all."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxlist, self.maxdict, self.maxstring, self.maxother = 3, 20, 20, 60, 60

    def repr_int(self, x: int, level: int) -> str:
        return shortened(x) if abs(x) >= LEAST_HUGE else super().repr_int(x, level)
