"""The page's files, the model card and /explain over HTTP, and a card's Markdown as HTML."""

import json

import pytest
from tests.serve_process import ServeProcess, small_bundle

from textgate.serve.card_page import MAX_BYTES, to_html
from textgate.serve.page import POLICY


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    folder = tmp_path_factory.mktemp("service")
    explain = {"characters": 100, "evaluations": 300}
    with ServeProcess(folder, small_bundle(folder / "bundle"), explain=explain) as started:
        yield started


def test_page__comes_with_a_policy_that_allows_its_own_files_and_nothing_else(service):
    for path, kind in (("/", "text/html"), ("/static/page.js", "text/javascript"), ("/static/page.css", "text/css")):
        status, headers, body = service.get(path)
        assert (status, headers.get_content_type()) == (200, kind)
        assert headers.get_all("Content-Security-Policy") == [POLICY]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert body
    assert "unsafe" not in POLICY
    page = service.get("/")[2].decode()
    assert '<body data-access="off" data-explain="open">' in page
    assert "<script>" not in page
    assert "style=" not in page
    assert "://" not in page


@pytest.mark.parametrize("name", ["nothing.js", "index.html", "..%2Fpage.py", "%2e%2e/page.py"])
def test_static__gives_only_the_files_of_the_page(service, name):
    status, headers, body = service.get(f"/static/{name}")
    assert (status, headers.get_content_type()) == (404, "application/problem+json")
    assert b"import" not in body


def test_model_card__is_the_bundles_or_the_releases_and_says_when_there_is_none_or_too_much(service):
    bundle = service.folder / "bundle"  # a plain one: its release would lie there as well
    status, headers, body = service.get("/model-card")
    assert (status, headers.get_content_type()) == (404, "text/html")
    assert "This model came without a card." in body.decode()

    (bundle / "README.md").write_text("---\nlicense: mit\n---\n\n# Mine\n")
    status, headers, body = service.get("/model-card")
    assert (status, headers.get_all("Content-Security-Policy")) == (200, [POLICY])
    assert "<h2>Mine</h2>" in body.decode()
    assert "license" not in body.decode()

    (bundle / "README.md").write_text("x" * (MAX_BYTES + 1))
    assert "more than 100,000 bytes and is not shown" in service.get("/model-card")[2].decode()
    (bundle / "MODEL_CARD.md").write_text("# Released\n")
    assert "<h2>Released</h2>" in service.get("/model-card")[2].decode()
    (bundle / "MODEL_CARD.md").write_bytes(b"\xff\xfe broken \x00 bytes")
    assert "broken" in service.get("/model-card")[2].decode()


def test_explain__answers_with_version_digest_and_parts_and_is_written_into_the_audit_log(service):
    status, _, body = service.post("/explain", {"text": "the  pine"})
    said = json.loads(body)
    predicted = service.predict("the  pine")[1]
    assert status == 200
    assert said["label"] == predicted["predictions"][0]["label"]
    assert said["probabilities"] == predicted["predictions"][0]["probabilities"]
    assert (said["model_version"], said["model_digest"]) == (predicted["model_version"], predicted["model_digest"])
    assert [(part["text"], part["start"], part["end"]) for part in said["parts"]] == [("the", 0, 3), ("pine", 5, 9)]
    assert (said["method"], said["evaluations"], said["standard_error"]) == ("exact", 4, 0)
    written = "".join(path.read_text() for path in (service.folder / "audit").rglob("*.jsonl"))
    events = [line for line in written.splitlines() if said["request_id"] in line]
    assert len(events) == 1
    assert '"explain"' in events[0]
    assert "pine" not in written


def test_explain__keeps_its_limits(service):
    status, _, body = service.post("/explain", {"text": "x" * 101})
    assert (status, json.loads(body)["detail"]) == (422, "text: String should have at most 100 characters")
    said = json.loads(service.post("/explain", {"text": "pine elk dune " * 7})[2])
    assert said["method"] == "sampled"
    assert 0 < said["evaluations"] <= 300
    assert len(said["parts"]) == 19


@pytest.mark.parametrize(
    ("card", "expected"),
    [
        ("<script>alert(1)</script>", "<p>&lt;script&gt;alert(1)&lt;/script&gt;</p>\n"),
        ("a <b onclick=x>b</b>", "<p>a &lt;b onclick=x&gt;b&lt;/b&gt;</p>\n"),
        ("[x](javascript:alert(1))", "<p>[x](javascript:alert(1))</p>\n"),
        ("[x](JaVaScRiPt:alert(1))", "<p>[x](JaVaScRiPt:alert(1))</p>\n"),
        ("[x](&#106;avascript:alert(1))", "<p>[x](javascript:alert(1))</p>\n"),
        ("[x](vbscript:x) [y](data:text/html,x)", "<p>[x](vbscript:x) [y](data:text/html,x)</p>\n"),
        ("[x](//evil.example)", "<p>[x](//evil.example)</p>\n"),
        ("[x](/predict)", "<p>[x](/predict)</p>\n"),
        (
            '[x](https://a.example "t\\" onclick=x")',
            '<p><a href="https://a.example" title="t&quot; onclick=x" rel="noreferrer nofollow">x</a></p>\n',
        ),
        (
            "![x](https://a.example/p.png)",
            '<p>!<a href="https://a.example/p.png" rel="noreferrer nofollow">x</a></p>\n',
        ),
        ("<http://a.example>", '<p><a href="http://a.example" rel="noreferrer nofollow">http://a.example</a></p>\n'),
        ("---\na: b\n---\n# T\n---\nx", "<h2>T</h2>\n<hr />\n<p>x</p>\n"),
        ("---\r\na: b\r\n---\r\n###### T", "<h6>T</h6>\n"),
        ("# T\n---\nx", "<h2>T</h2>\n<hr />\n<p>x</p>\n"),
        ("---\nnever closed", "<hr />\n<p>never closed</p>\n"),
    ],
)
def test_to_html__lets_no_markup_through_and_no_link_but_to_the_web(card, expected):
    assert to_html(card) == expected


def test_to_html__a_table_has_a_box_of_its_own_and_no_style():
    found = to_html("|a|b|c|d|\n|---|--:|:-:|:--|\n|1|2|3|4|\n")
    assert found.startswith('<div class="scroll" role="region" tabindex="0" aria-label="Table"><table>')
    assert '<td>1</td>\n<td class="right">2</td>\n<td class="center">3</td>\n<td class="left">4</td>' in found
    assert "style" not in found


@pytest.mark.parametrize("bit", ["> ", "- ", "*a_ ", "|a"])
def test_to_html__takes_what_is_nested_without_end(bit):
    assert to_html((bit * MAX_BYTES)[:MAX_BYTES]).startswith("<")


def test_static__every_file_that_the_page_names_is_there():
    from textgate.serve.page import STATIC, TYPES

    assert {path.name for path in STATIC.iterdir()} == {"index.html", *TYPES}
    page = (STATIC / "index.html").read_text()
    assert all(f'"static/{name}"' in page for name in TYPES)
