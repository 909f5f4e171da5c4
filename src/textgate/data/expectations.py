"""Split rows against the Great Expectations suite in configs/: passed, or refused with the rows that broke it."""

from __future__ import annotations

import html
import logging
import os
import shutil
import warnings
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, StringConstraints, TypeAdapter, ValidationError

from textgate.errors import CannotTell, Refused
from textgate.files import write_text
from textgate.records import Record
from textgate.yaml_file import read_yaml

COLUMNS = ("text", "label", "group", "split", "place")
ROWS_SHOWN = 3
RESULT_FORMAT = {
    "result_format": "SUMMARY",
    "partial_unexpected_count": ROWS_SHOWN,
    "unexpected_index_column_names": ["place"],
}
HEAD = "<head>"
NO_SCRIPTS = (  # pages that show rows run none, whatever Great Expectations forgets to escape
    "<meta http-equiv=\"Content-Security-Policy\" content=\"script-src 'none'; object-src 'none'; frame-src 'none'; "
    "base-uri 'none'; form-action 'none'\">"
)


class Expectation(Record):
    """One entry of configs/expectations.yaml: a Great Expectations type, its arguments, and why it is there."""

    type: Annotated[str, StringConstraints(pattern=r"^expect_[a-z_]+$")]
    kwargs: dict[str, Any]
    reason: Annotated[str, Field(min_length=1)]


def load_suite(path: Path) -> tuple[Expectation, ...]:
    """Read the suite. Raises CannotTell with the entry's number and key."""
    raw = read_yaml(path, "restore it with git, or mend `expectations` in configs/data.yaml")
    if not isinstance(raw, list) or not raw:
        raise CannotTell(f"{path}: expected a list of expectations, each with type, kwargs and reason")
    try:
        return TypeAdapter(tuple[Expectation, ...]).validate_python(tuple(raw))
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        number, *keys = problem["loc"]
        where = ".".join(map(str, keys)) or "the entry"
        raise CannotTell(f"{path}: expectation {int(number) + 1}: {where}: {problem['msg']}") from error


def validate(rows: list[tuple[str, str, str, str, str]], suite_file: Path, values: dict[str, Any], docs: Path) -> int:
    """Check rows (text, label, group, split, place) and return how many expectations they met.

    `values` is what `$PARAMETER` in the suite may name. The result is also left as HTML in the folder `docs`. Raises
    Refused with each broken expectation, its reason and up to 3 rows; CannotTell for a suite that cannot be evaluated.
    """
    suite = load_suite(suite_file)
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    logging.getLogger("great_expectations").setLevel(logging.CRITICAL)  # what is wrong is said below
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about its own dependencies; nothing that the reader could mend
        results = _run(rows, suite, suite_file, values, docs)
    unanswered = next(((one, why) for one, result in results if (why := _raised(result.exception_info))), None)
    if unanswered:
        one, why = unanswered
        raise CannotTell(f"{suite_file}: {one.type} cannot be evaluated: {why}: mend its kwargs")
    broken = [_sentence(one, result) for one, result in results if not result.success]
    if broken:
        raise Refused(f"{'; '.join(broken)}: mend the rows, or {suite_file} (all results: {docs}/index.html)")
    return len(suite)


def _run(
    rows: list[tuple[str, str, str, str, str]],
    suite: tuple[Expectation, ...],
    suite_file: Path,
    values: dict[str, Any],
    docs: Path,
) -> list[tuple[Expectation, Any]]:
    """Return each expectation with Great Expectations' result for it, and write its pages."""
    import great_expectations as gx
    import pandas as pd
    from great_expectations.exceptions.exceptions import GreatExpectationsError

    context: Any = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    asset = context.data_sources.add_pandas("rows").add_dataframe_asset("rows")
    expected = gx.ExpectationSuite(name=suite_file.stem)
    for number, one in enumerate(suite):
        expected.add_expectation(_implementation(number, one, suite_file))
    everything = asset.add_batch_definition_whole_dataframe("all")
    definition = gx.ValidationDefinition(name="data", data=everything, suite=context.suites.add(expected))
    checked = [context.validation_definitions.add(definition)]
    checkpoint = context.checkpoints.add(
        gx.Checkpoint(name="data", validation_definitions=checked, result_format=RESULT_FORMAT)
    )
    batch = {"dataframe": pd.DataFrame(rows, columns=list(COLUMNS))}
    try:
        done = checkpoint.run(batch_parameters=batch, expectation_parameters=values)
    except GreatExpectationsError as error:
        why = " ".join(str(error).split())[:300]
        raise CannotTell(f"{suite_file}: {why} (known: {', '.join(values)}): mend the suite") from error
    _write_docs(context, docs)
    by_number = {
        result.expectation_config.meta["number"]: result for run in done.run_results.values() for result in run.results
    }
    return [(one, by_number[number]) for number, one in enumerate(suite)]


def _implementation(number: int, one: Expectation, suite_file: Path) -> Any:
    from great_expectations.exceptions.exceptions import ExpectationNotFoundError
    from great_expectations.expectations.registry import get_expectation_impl

    try:
        return get_expectation_impl(one.type)(**one.kwargs, notes=one.reason, meta={"number": number})
    except ExpectationNotFoundError as error:
        raise CannotTell(f"{suite_file}: expectation {number + 1}: Great Expectations knows no {one.type}") from error
    except (ValueError, TypeError) as error:
        why = " ".join(str(error).split())[:300]
        raise CannotTell(f"{suite_file}: expectation {number + 1} ({one.type}): {why}: mend its kwargs") from error


def _write_docs(context: Any, folder: Path) -> None:
    """Write the results as HTML. Great Expectations puts what it found in as it is, so it goes in escaped."""
    results = context.validation_results_store
    for key in results.list_keys():
        shown = results.get(key)
        for one in shown.results:
            one.result, one.exception_info = _escaped(one.result), _escaped(one.exception_info)
        results.set(key, shown)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    store = {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(folder.resolve())}
    pages = {"class_name": "SiteBuilder", "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"}}
    context.add_data_docs_site("data", {**pages, "store_backend": store})
    context.build_data_docs(site_names=["data"])
    for page in (folder / "validations").rglob("*.html"):
        write_text(page, page.read_text(encoding="utf-8").replace(HEAD, HEAD + NO_SCRIPTS, 1))


def _escaped(found: Any) -> Any:
    """Return what an expectation found with every text in it, also a key, as HTML that shows it."""
    if isinstance(found, dict):
        return {_escaped(key): _escaped(value) for key, value in found.items()}
    if isinstance(found, list | tuple):
        return [_escaped(value) for value in found]
    return html.escape(found) if isinstance(found, str) else found


def _raised(info: dict[str, Any]) -> str | None:
    """Return why an expectation could not be computed, if so: Great Expectations says it in either of two shapes."""
    for one in (info, *(inner for inner in info.values() if isinstance(inner, dict))):
        if one.get("raised_exception"):
            return " ".join(str(one.get("exception_message")).split())[:300]
    return None


def _sentence(one: Expectation, result: Any) -> str:
    found: dict[str, Any] = result.result
    about = f" on {one.kwargs['column']}" if "column" in one.kwargs else ""
    what = f"{one.type}{about} ({one.reason})"
    if "partial_unexpected_index_list" in found:
        rows = "; ".join(map(_example, found["partial_unexpected_index_list"][:ROWS_SHOWN]))
        return f"{what}: {found['unexpected_count']} of {found['element_count']} rows break it, such as {rows}"
    values = found.get("partial_unexpected_list") or found.get("observed_value")
    return f"{what}: found {str(values)[:80]}"


def _example(row: dict[str, Any]) -> str:
    value = next((value for key, value in row.items() if key != "place"), "")
    return f"{row['place']}: {str(value)[:80]!r}"
