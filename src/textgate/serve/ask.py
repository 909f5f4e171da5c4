"""The body of a request into texts, or a Problem that says what is wrong with it and never quotes it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field, StringConstraints, ValidationError, create_model

from textgate.records import Record
from textgate.serve.problems import Problem

EXAMPLE = "Slå lyset på stuen fra"


class Reader:
    """Reads the body of /predict (one text, or several) or of /explain (one text)."""

    def __init__(self, text_characters: int, texts: int | None) -> None:
        """Take the most characters of a text, and the most texts; None if `texts` is no key at all."""
        text = Annotated[str, StringConstraints(max_length=text_characters)]
        fields: dict[str, Any] = {"text": (text, "")}
        if texts is not None:
            fields["texts"] = (Annotated[list[text], Field(min_length=1, max_length=texts)], ())
        self._type: type[Any] = create_model("Question", __base__=Record, **fields)
        self._known = " and ".join(fields)
        self._one = "Send either text or texts." if texts is not None else "text: this key is missing"
        self._text = {"type": "string", "maxLength": text_characters}
        self._texts = texts

    def read(self, content_type: str, body: bytes) -> Sequence[str]:
        """Return the texts, in their order. Raises Problem 415 or 422."""
        if content_type.split(";", 1)[0].strip().lower() != "application/json":
            raise Problem(415, "Send the body as application/json.")
        try:
            question = self._type.model_validate_json(body)
        except ValidationError as error:
            raise Problem(422, self._said(error)) from None
        given = question.model_fields_set
        if len(given) != 1:
            raise Problem(422, self._one)
        return question.texts if "texts" in given else [question.text]

    def _said(self, error: ValidationError) -> str:
        """Return the first problem; keys and values that the client chose are not repeated."""
        unknown = f"There is an unknown key (known: {self._known})."
        if error.error_count() > (self._texts or 0) + 2:  # a body of 1 MB has 100,000, and they are listed in 0.1 s
            return unknown
        first = error.errors(include_url=False, include_input=False)[0]
        if first["type"] == "extra_forbidden":
            return unknown
        where = ".".join(map(str, first["loc"]))
        return f"{where}: {first['msg']}" if where else first["msg"]

    def described(self) -> dict[str, Any]:
        """Return the body's description for OpenAPI."""
        one = _object({"text": {**self._text, "description": "The text to classify."}})
        if self._texts is None:
            return _content(one, {"one": {"summary": "one text", "value": {"text": EXAMPLE}}})
        texts = {"type": "array", "items": self._text, "minItems": 1, "maxItems": self._texts}
        several = _object({"texts": {**texts, "description": "Several; the answers come in their order."}})
        examples = {
            "one": {"summary": "one text", "value": {"text": EXAMPLE}},
            "several": {"summary": "two texts", "value": {"texts": [EXAMPLE, "Slå av lyset i stua"]}},
        }
        return _content({"oneOf": [one, several]}, examples)


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _content(schema: dict[str, Any], examples: dict[str, Any]) -> dict[str, Any]:
    return {"required": True, "content": {"application/json": {"schema": schema, "examples": examples}}}
