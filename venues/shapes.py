"""Which payloads of a venue we read, and how a payload differs from what we expect of it.

A venue's `shapes.py` lists its kinds of payloads as data. Comparing is pure and loose: it never
decides whether a payload is used, that is the venue's own strict reading.
"""

from __future__ import annotations

import importlib
import types
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, Union, cast, get_args, get_origin

import msgspec

from venues import registry
from venues.connector import ShapedVenue

#: Of a long list so many members are looked at: rows of one list are alike.
_MEMBERS_LOOKED_AT: Final = 50
#: Names of fields come from outside; so much of one is told, and so many at a time.
_NAME_LENGTH_MAX: Final = 40
_PATHS_MAX: Final = 100
_DEPTH_MAX: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """One kind of payload as we read it.

    `channel` says where it comes from, such as `POST /info meta` or `socket l2Book`. `kind` is what
    the venue's `decode` is given for it, and names the shape: two shapes of a venue never share
    one. `sample` is JSON as the venue sends it. `ignored` are paths that are known and not read,
    as `[].time`; what lies below an ignored path is ignored too.
    """

    channel: str
    kind: Any
    sample: str
    ignored: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Differences:
    """What a payload has that we neither read nor know, and what we need that it lacks.

    `seen` are the fields of ours that it had. Names are cut and have no control characters.
    """

    unknown: tuple[str, ...] = ()
    vanished: tuple[str, ...] = ()
    seen: frozenset[str] = field(default=frozenset(), repr=False)

    def __bool__(self) -> bool:
        """Whether there is any difference."""
        return bool(self.unknown or self.vanished)


def shapes_of(venue: str) -> tuple[Shape, ...] | None:
    """Return the shapes that a venue offers, or None when it offers none.

    Raises:
        InvalidInput: there is no venue of that name.
    """
    spec = registry.load(venue)
    if not isinstance(spec, ShapedVenue):
        return None
    return cast("tuple[Shape, ...]", importlib.import_module(spec.shapes).SHAPES)


def differences(payload: Any, shape: Shape) -> Differences:
    """Compare JSON that was decoded loosely with what we read of it."""
    walk = _Walk(shape.ignored)
    walk.look(payload, shape.kind, "", 0)
    return Differences(
        unknown=tuple(sorted(walk.unknown)),
        vanished=tuple(sorted(walk.vanished)),
        seen=frozenset(walk.seen),
    )


def fields_of(shape: Shape) -> frozenset[str]:
    """Return the paths of every field that we read, needed or not."""
    return frozenset(_paths(shape.kind, "", ()))


class _Walk:
    def __init__(self, ignored: frozenset[str]) -> None:
        self._ignored = ignored
        self.unknown: set[str] = set()
        self.vanished: set[str] = set()
        self.seen: set[str] = set()

    def look(self, value: Any, kind: Any, path: str, depth: int) -> None:
        if depth > _DEPTH_MAX:
            return
        chosen = _chosen(value, kind)
        if chosen is None:
            return
        if isinstance(value, dict):
            self._object(value, chosen, path, depth)
        elif isinstance(value, list):
            for number, member in enumerate(value[:_MEMBERS_LOOKED_AT]):
                inner, step = _member(chosen, number)
                self.look(member, inner, path + step, depth + 1)

    def _object(self, value: dict[str, Any], kind: Any, path: str, depth: int) -> None:
        if get_origin(kind) is dict:
            for inner in list(value.values())[:_MEMBERS_LOOKED_AT]:
                self.look(inner, get_args(kind)[1], f"{path}{{}}", depth + 1)
            return
        known = _fields(kind)
        for name in value:
            here = _joined(path, shown_name(name))
            if name in known:
                self.seen.add(here)
            elif here not in self._ignored and len(self.unknown) < _PATHS_MAX:
                self.unknown.add(here)
        for name, (inner_kind, is_needed) in known.items():
            here = _joined(path, name)
            if name in value:
                self.look(value[name], inner_kind, here, depth + 1)
            elif is_needed:
                self.vanished.add(here)


def shown_name(name: str) -> str:
    """Return a field's name as it may be shown: cut, and nothing in it but what can be printed."""
    cut = name[:_NAME_LENGTH_MAX]
    return cut if cut.isascii() and cut.isprintable() else cut.encode("unicode_escape").decode()


def below(path: str, names: Iterable[str]) -> frozenset[str]:
    """Return the paths of fields that a shape leaves unread; `path` ends with its separator."""
    return frozenset(f"{path}{name}" for name in names)


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


@lru_cache(maxsize=1024)
def _fields(kind: Any) -> dict[str, tuple[Any, bool]]:
    """Return what a struct reads: by its name on the wire, of which kind, and whether needed."""
    return {each.encode_name: (each.type, each.required) for each in msgspec.structs.fields(kind)}


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _is_union(kind: Any) -> bool:
    return get_origin(kind) in (Union, types.UnionType)


def _chosen(value: Any, kind: Any) -> Any:
    """Return the kind that a value is to be compared with, or None where there is nothing in it."""
    candidates = get_args(kind) if _is_union(kind) else (kind,)
    for each in candidates:
        if isinstance(value, dict) and (_is_struct(each) or get_origin(each) is dict):
            return each
        if isinstance(value, list) and get_origin(each) in (list, tuple):
            return each
    return None


def _member(kind: Any, number: int) -> tuple[Any, str]:
    arguments = get_args(kind)
    if get_origin(kind) is tuple and arguments[-1] is not Ellipsis:
        inner = arguments[number] if number < len(arguments) else None
        return inner, f"[{number}]"
    return arguments[0], "[]"


def _paths(kind: Any, path: str, above: tuple[Any, ...]) -> Iterator[str]:
    if kind in above:
        return
    if _is_struct(kind):
        for name, (inner, _) in _fields(kind).items():
            here = _joined(path, name)
            yield here
            yield from _paths(inner, here, (*above, kind))
    elif _is_union(kind):
        for each in get_args(kind):
            yield from _paths(each, path, above)
    elif get_origin(kind) is dict:
        yield from _paths(get_args(kind)[1], f"{path}{{}}", above)
    elif get_origin(kind) in (list, tuple):
        arguments = [each for each in get_args(kind) if each is not Ellipsis]
        for number in range(len(arguments)):
            inner, step = _member(kind, number)
            yield from _paths(inner, path + step, above)
