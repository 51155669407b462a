"""What pydantic found in a study file, in words: the field, its line, its value and what to write instead."""

import difflib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from calib_assets.study.document import Study
from calib_assets.study.errors import Problem
from calib_assets.study.yaml_lines import line_at


def field_problems(errors: Sequence[Mapping[str, Any]], data: dict, lines: dict[tuple, int]) -> list[Problem]:
    """A problem for each error of a :class:`pydantic.ValidationError`.

    Args:
        errors: Its ``errors()``.
        data: The file as data.
        lines: Line of each place of the file.
    """
    return [_problem(item, data, lines) for item in _without_echoes(errors)]


def _problem(item: Mapping[str, Any], data: dict, lines: dict[tuple, int]) -> Problem:
    place, value = _real_place(item["loc"], data)
    field: str = ""
    node: Any = data
    for part in place:
        field += f"[{part}]" if isinstance(part, int) else (f".{part}" if field else str(part))
        node = node[part] if _has(node, part) else None
        if isinstance(part, int) and isinstance(node, dict) and isinstance(node.get("name"), str):
            field += f" ({node['name']})"
    message, remedy = item["msg"].removeprefix("Value error, "), "correct the value"
    kind = item["type"]
    if kind == "invalid_key":
        field, value = field.rpartition("[" if field.endswith("]") else ".")[0], place[-1] if place else None
        message, remedy = "a key is no text", "write the name of a field"
    elif kind == "extra_forbidden":
        message, value = "unknown field", None
        allowed = _siblings(item["loc"])
        near = difflib.get_close_matches(str(place[-1]), allowed, n=1)
        remedy = f"did you mean `{near[0]}`?" if near else "remove it"
        if allowed:
            remedy += f" (fields here: {', '.join(sorted(allowed))})"
    elif kind == "missing":
        message, value, remedy = "required field is missing", None, "add it"
    elif kind == "union_tag_invalid":
        value = value.get("kind") if isinstance(value, dict) else value
        field, message = f"{field}.kind", "unknown kind of task"
        remedy = f"write one of {item['ctx']['expected_tags']}"
    elif kind == "union_tag_not_found":
        field, value, message = f"{field}.kind", None, "required field is missing"
        remedy = "write digits, digit_sum or list"
    elif kind == "unknown_source":
        remedy = "write for example {id: organisation/name, revision: <commit>}"
    elif kind.startswith("literal_error"):
        message, remedy = "not an allowed value", f"write {item['ctx']['expected']}"
    elif kind == "value_error":
        message, _, tail = message.partition("; ")
        remedy = tail or remedy
        if not place:
            place, field = _named_place(message, data)
        value = value if not isinstance(value, dict | list) else None
    elif kind.endswith(("_type", "_parsing")):
        said = item["msg"][0].lower() + item["msg"][1:]
        message, remedy = "wrong type", "write " + said.removeprefix("input should be ").replace("valid tuple", "list")
    elif "than" in kind or kind in {"finite_number", "too_short", "string_too_short", "string_pattern_mismatch"}:
        message, remedy = "out of range", item["msg"][0].lower() + item["msg"][1:]
    return Problem(field or "study", value, message, remedy, line_at(lines, place) if place else None)


_ROW = re.compile(r"(model|judge|sweep|rollouts|collapse) '([^']*)'(?: (?:names?|runs on) '([^']*)')?")
_LISTS = {"model": "models", "judge": "judges", "sweep": "sweeps"}


def _named_place(message: str, data: dict) -> tuple[tuple, str]:
    """Place and words of the row, and of the field with the wrong name, that an error of the whole study speaks of."""
    found = _ROW.match(message)
    if found is None:
        return (), ""
    key = _LISTS.get(found[1], found[1])
    rows = data.get(key)
    for index, row in enumerate(rows if isinstance(rows, list) else ()):
        if isinstance(row, dict) and row.get("name") == found[2]:
            place, field = (key, index), f"{key}[{index}] ({found[2]})"
            wrong = [name for name, value in row.items() if name != "name" and found[3] and found[3] in _texts(value)]
            return ((*place, wrong[0]), f"{field}.{wrong[0]}") if wrong else (place, field)
    return (), ""


def _texts(value) -> list[str]:
    if isinstance(value, dict):
        return [text for part in value.values() for text in _texts(part)]
    if isinstance(value, list):
        return [text for part in value for text in _texts(part)]
    return [value] if isinstance(value, str) else []


def _has(node, part) -> bool:
    if isinstance(node, dict):
        return part in node
    return isinstance(node, list) and isinstance(part, int) and part < len(node)


def _real_place(loc: tuple, data):
    """Drop the parts of a pydantic location that name a union member rather than a place in the file."""
    place, node = [], data
    for index, part in enumerate(loc):
        last = index == len(loc) - 1
        if _has(node, part):
            place.append(part)
            node = node[part]
        elif last and isinstance(node, dict) and isinstance(part, str) and part.islower() and part.isidentifier():
            # a missing field (or a task kind, which is also lower case: those are not last)
            place.append(part)
            node = None
    return tuple(place), node


def _siblings(loc: tuple) -> list[str]:
    """Names of the fields allowed where an unknown one stands, by walking the document's own schema."""
    schema = Study.model_json_schema()
    node = schema
    for part in loc[:-1]:
        node = _resolve(schema, node)
        if isinstance(part, int):
            node = node.get("items", {})
        elif part in node.get("properties", {}):
            node = node["properties"][part]
        else:
            options = [_resolve(schema, option) for option in node.get("oneOf", []) + node.get("anyOf", [])]
            wanted = [
                option
                for option in options
                if option.get("title") == part or option.get("properties", {}).get("kind", {}).get("const") == part
            ]
            node = wanted[0] if wanted else node
    return list(_resolve(schema, node).get("properties", {}))


def _resolve(schema: dict, node: dict) -> dict:
    while "$ref" in node:
        node = schema["$defs"][node["$ref"].rsplit("/", 1)[-1]]
    return node


def _without_echoes(errors: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Drop "too short" of a list whose items failed: the list is short only because they did."""
    places = [error["loc"] for error in errors if error["type"] != "too_short"]
    return [
        error
        for error in errors
        if error["type"] != "too_short" or not any(place[: len(error["loc"])] == error["loc"] for place in places)
    ]
