"""A failed validation of YAML into one line: the key as the file has it, what was expected there, the known keys."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from textgate.records import Record


def first_problem(error: ValidationError, kind: type[Record]) -> str:
    """Return the problem that explains the others: a misspelt key before the missing one that it leaves behind."""
    problems = error.errors(include_url=False)
    unknown = [problem for problem in problems if problem["type"] == "extra_forbidden"]
    problem = (unknown or problems)[0]
    record, keys = _walk(kind, problem["loc"])
    where = ".".join(keys) or "the file"
    if unknown:
        return f"{where}: unknown key (known: {', '.join(record.model_fields)})"
    if problem["type"] in ("missing", "union_tag_not_found"):
        return f"{where}{'' if problem['type'] == 'missing' else '.kind'}: this key is missing"
    if problem["type"] == "union_tag_invalid":
        context = problem["ctx"]
        return f"{where}.kind: unknown kind {context['tag']!r} (known: {context['expected_tags']})"
    if problem["type"] == "value_error":  # a rule of our own about several keys: it names them
        return f"{where}: {problem['ctx']['error']}"
    found = f"{str(problem['input'])[:80]!r}{_hint(problem['type'], problem['input'])}"
    return f"{where}: {problem['msg']} (found {found})"


def _hint(kind: str, value: Any) -> str:
    """Say what YAML made of a value that looks right to a person."""
    if kind == "string_type" and isinstance(value, bool):
        return ": YAML reads no, yes, on and off as true or false, so put the word in quotes"
    if kind == "string_type" and isinstance(value, (int, float)):
        return ": YAML reads this as a number, so put it in quotes"
    if kind in ("float_type", "int_type") and isinstance(value, str) and _is_number(value):
        return ": YAML reads this as text; write 4.0e-4 instead of 4e-4, and no quotes"
    return ""


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _walk(kind: Any, location: tuple[int | str, ...]) -> tuple[type[Record], list[str]]:
    """Return the record that a location ends in, and its keys without the tags that pydantic puts between them."""
    record, keys = kind, []
    for step in location:
        tagged = [option for option in _records(kind) if step in _tags(option)]
        if tagged and not (isinstance(kind, type) and step in record.model_fields):
            kind = record = tagged[0]
            continue
        keys.append(str(step))
        if isinstance(kind, type) and issubclass(kind, Record) and step in kind.model_fields:
            record, kind = kind, kind.model_fields[str(step)].annotation
        if len(_records(kind)) == 1:
            (kind,) = _records(kind)
            record = kind
    return record, keys


def _records(kind: Any) -> list[type[Record]]:
    """Return the record types that an annotation is made of: itself, the members of a union, what a dict holds."""
    if isinstance(kind, type) and issubclass(kind, Record):
        return [kind]
    return [record for inner in getattr(kind, "__args__", ()) for record in _records(inner)]


def _tags(record: type[Record]) -> tuple[Any, ...]:
    field = record.model_fields.get("kind")
    return getattr(field.annotation, "__args__", ()) if field else ()
