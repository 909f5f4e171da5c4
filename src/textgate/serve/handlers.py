"""What Starlette and FastAPI raise, as problems."""

from __future__ import annotations

from typing import Any, NoReturn

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request

from textgate.serve.problems import Problem

DETAILS = {
    404: "There is nothing at this address.",
    405: "This address does not take this method.",
}


async def _of_http(_request: Request, error: HTTPException) -> NoReturn:
    detail = DETAILS.get(error.status_code, "The request could not be answered.")
    raise Problem(error.status_code, detail, error.headers or {}) from None


async def _of_parameters(_request: Request, error: RequestValidationError) -> NoReturn:
    where = ".".join(map(str, error.errors()[0]["loc"]))
    raise Problem(422, f"{where}: {error.errors()[0]['msg']}") from None


async def _of_anything(_request: Request, error: Exception) -> NoReturn:
    raise error  # else Starlette answers in its own words, before the envelope can


HANDLERS: dict[Any, Any] = {HTTPException: _of_http, RequestValidationError: _of_parameters, Exception: _of_anything}
