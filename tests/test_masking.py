"""The masker: nothing secret passes, nothing else is touched, and hostile text costs no more than other text."""

from __future__ import annotations

import base64
import json
import re
import time
import urllib.parse
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analyzer.errors import UsageError
from analyzer.masking import UNMASKABLE, Masker, library
from analyzer.types.trace import Event, Operation, Span

MASKER = Masker(b"key of the tests")
PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA7bq\nc3VwZXJzZWNyZXQ=\n-----END RSA PRIVATE KEY-----"

SHAPED = [
    "sk-ant-api03-Zx81mQ_vB7-kk29Lw0a",
    "sk-proj-8GfTq2mZ71LpQx0wVn3R",
    "sk-8GfTq2mZ71LpQx0wVn3RaB4c",
    "AKIAQ3EGTYUI8XZ2LMNO",
    "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
    "github_pat_11ABCDEFG0aBcDeFgHiJkL_mNoPqRsTuVwXyZ",
    "xoxb-123456789012-abcdefGHIJKL",
    "AIzaSyD3x4mpl3K3yF0rT3st1ngPurp0s3sAbc",
    "hf_aBcDeFgHiJkLmNoPqRsTuVwXyZ0123456789",
    "glpat-x9Yz8Wv7Ut6Sr5Qp4On3",
    "npm_aBcDeFgHiJkLmNoPqRsTuVwXyZ0123456789",
    "sk_live_51H8xYzAbCdEfGhIjKlMnOp",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N",
]
"""Secrets that show by their shape."""

SETTINGS = [
    ("password=", "hunter2!"),
    ('"password": "', "correct horse"),
    ("PASSWORD: ", "s3cr3t-word"),
    ('"api_key": "', "abc"),
    ("x-api-key: ", "0f9e8d7c6b5a"),
    ("Authorization: Bearer ", "opaque1234"),
    ('"authorization": "Basic ', "dXNlcjpwYXNzd29yZA=="),
    ("client_secret=", "Zm9vYmFyYmF6"),
    ("aws_secret_access_key = ", "wJalrXUtnFEMI/K7MDENG/bPxRfiCY01"),
    ("access_token=", "ya9876tokenvalue1"),
    ("postgres://bob:", "pa55/word"[:4] + "@db.internal"),
    ('["mysql", "--password", "', "hunter2-hunter2"),
    ('[\\"--api-key\\",\\"', "hunter2-hunter2"),
    ("mysqldump -u root -p", "hunter2-hunter2"),
    ("the password is ", "hunter2hunter2"),
    ("https://b.s3.amazonaws.com/k?X-Amz-Signature=", "a1b2c3d4" * 8),
    ("https://storage.googleapis.com/b/o?X-Goog-Signature=", "ab12" * 32),
    ("https://a.blob.core.windows.net/c?sv=2022-11-02&sig=", "abcDEF123%2Bxyz456%3D"),
    ("https://d1.cloudfront.net/x?Expires=1&Signature=", "abcDEF123xyz456-_~"),
]

EVIDENCE = [
    "0af7651916cd43dd8448eb211c80319c",
    "3b18e512dba79e4c8300dd08aeb37f8e728b8dad",
    "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "11e61c75-0b3f-4b85-b20f-ff47237cb46e",
    "1795388987998504584",
    "1795388987998",
    "order 4003600012345678",
    '{"max_tokens": 64, "input_tokens": 350, "total_tokens": 370}',
    "gen_ai.usage.input_tokens=350",
    '"token": "Hello", "logprob": -0.1',
    "def login(token: str, password: str = None) -> None:",
    "token = get_token(session)",
    "password: required",
    "the secret of a good answer: patience",
    "bearer authentication rests on a basic understanding",
    "next_token=abc123def456",
    "primary_key: id0000001",
    "react@18.2.0 and @app.route('/x')",
    "http://localhost:8080/path?x=1",
    "0.4111111111111111",
    "docker run -u 1000:1000 image",
    "PWD=/workspace OLDPWD=/home/user/project",
    "pwd: ~/project",
    "git clone git@github.com:org/repo.git",
    "the password is required, and the secret is out",
    "mysql -p -u root shop",
    "ssh -p2222 host",
    "https://x.example/a?sig=2&page=3",
    '["--key-file", "/etc/ssl/server1.pem"]',
    "def f(signature=None): return signature",
    "toolu_01A09q90qw90lq917835lq9 msg_01XFDUDYJgAACzvnptvVoYEL",
    "sk-learn is spelt scikit-learn-and-friends",
    "2026-11-20T12:00:00+0100",
    "+1795388987 and x = a +1234567890",
    "telemetry 1234567, hotel 12345678, phone: 2026-11-20",
    "SELECT * FROM orders WHERE id = 12345678901 AND total > 100",
    "order 112-1234567-1234567",
    "DE89370400440532013001 is no IBAN: its check digits are wrong",
    "VXNlcjoxMDE=",
    "c2hhMjU2Ojk3ZjYxYTM0ZmU4YjU0ZWI2OTBjNDUzOTg1YTZkZmI1",
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==",
    "192.168.0.1 and 8.8.8.8",
    "100%20of%20it, 50% off, LIKE '%41%'",
    "/usr/lib/python3.11/site-packages/FooBar/BazQux123.py",
    "claude-sonnet-5-5-20261007 and gpt-4o-2026-08-06",
    "666-12-3456 and 123-00-4567 and 2026-11-2034",
    '{"name": "total", "value": "12345"}',
    "the flag --password-file /run/pw and --token-budget 5000",
    "<token>word</token>",
]


@pytest.mark.parametrize("secret", SHAPED)
@pytest.mark.parametrize("frame", ["{}", "key is {}.", '{{"k":"{}"}}', "a\\n{}\\nb", "Bearer {}", "x={}&y=1", "[{}]"])
def test_secrets_with_a_shape_never_pass(secret, frame):
    """A provider's key is replaced wherever it stands, and by the same pseudonym."""
    masked = MASKER.text(frame.format(secret))
    assert secret not in masked
    assert MASKER.text(secret) in masked


@pytest.mark.parametrize(("name", "secret"), SETTINGS)
@pytest.mark.parametrize("end", ["", "\nnext line", '", "z": 1}', " and more"])
def test_named_secrets_never_pass(name, secret, end):
    """What stands behind a secret's name is replaced, whatever follows."""
    secret = secret.removesuffix("@db.internal")
    close = "@db.internal" if "://" in name else '"' if '"' in name and not end.startswith('"') else ""
    masked = MASKER.text(f"{name}{secret}{close}{end}")
    assert secret not in masked
    assert "<secret:" in masked


@pytest.mark.parametrize("text", EVIDENCE)
def test_evidence_is_left_alone(text):
    """Ids, hashes, times, counts, code and prose pass as they are."""
    assert MASKER.text(text) == text


def test_json_in_json_is_masked_at_every_depth():
    """A password is found however many times its JSON was put into a string."""
    text = json.dumps({"password": 'it"s me', "n": 1})
    for _ in range(3):
        masked = MASKER.text(text)
        assert "s me" not in masked
        inner = json.loads(masked)
        while isinstance(inner, str | list):
            inner = json.loads(inner) if isinstance(inner, str) else json.loads(inner[0])
        assert inner["n"] == 1
        text = json.dumps([text])


def test_private_keys_are_one_secret_in_text_and_in_json():
    """A private key has one pseudonym, with line ends and with their escapes; a cut one goes as well."""
    plain, escaped = MASKER.text(f"a {PEM} b"), MASKER.text(json.dumps(f"a {PEM} b"))
    assert plain.strip("ab ") == escaped.strip('"ab ')
    assert "MII" not in MASKER.text(PEM[:60])


@pytest.mark.parametrize("number", ["4111111111111111", "4111 1111 1111 1111", "4111-1111-1111-1111"])
def test_card_numbers_are_one_secret_in_every_spelling(number):
    """A card number is found with and without its separators, and has one pseudonym."""
    assert MASKER.text(f"paid with {number} 12/27") == f"paid with {MASKER.text('4111111111111111')} 12/27"
    assert MASKER.text("378282246310005").startswith("<card:")
    assert MASKER.text("4111111111111112") == "4111111111111112"


def test_addresses_are_masked_without_what_surrounds_them():
    """An e-mail address is the same in prose, in capitals, in JSON and behind an escape."""
    bob = MASKER.text("bob@example.com")
    assert bob.startswith("<email:")
    assert MASKER.text("mailto:Bob@Example.com, <bob@example.com>.") == f"mailto:{bob}, <{bob}>."
    assert MASKER.text('"to\\nbob@example.com\\n"') == f'"to\\n{bob}\\n"'
    assert MASKER.text("\\u003cbob@example.com\\u003e") == f"\\u003c{bob}\\u003e"


def test_one_secret_has_one_pseudonym_by_whichever_rule():
    """Found by its name, behind Bearer, by its shape or in a URL, a key is the same secret."""
    key = SHAPED[0]
    alone = MASKER.text(key)
    for frame in ("api_key={}", '{{"password": "{}"}}', "Authorization: Bearer {}", "https://u:{}@h/"):
        assert MASKER.text(frame.format(key)) == frame.format(alone)
    assert MASKER.value({"secret": key}) == {"secret": alone}
    assert Masker(b"another key").text(key) != alone


def test_values_under_a_secrets_name_are_masked_whole():
    """In a JSON-like value the name alone is enough; counts and containers under such names stay readable."""
    value = {
        "password": "two words",
        "headers": {"http.request.header.authorization": ["Bearer abc"]},
        "token": 5,
        "secret": {"type": "string"},
        "card": 4111111111111111,
        "bob@example.com": None,
    }
    masked = MASKER.value(value)
    text = json.dumps(masked)
    assert not any(secret in text for secret in ("two words", "abc", "4111", "bob@"))
    assert (masked["token"], masked["secret"]) == (5, {"type": "string"})


def test_every_text_of_a_span_is_masked_and_ids_are_not():
    """No field that bears text lets a secret pass; trace and span ids stay."""
    secret = SHAPED[0]
    texts = ("name", "input", "output", "system", "tool_definitions", "status_message", "error_type", "agent",
             "agent_version", "service", "provider", "model", "tool", "tool_call_id", "response_id",
             "conversation_id", "user_id", "prompt_name", "prompt_version", "scope")  # fmt: skip
    span = replace(
        Span("a" * 32, "b" * 16, "c" * 16, "n", Operation.CHAT),
        **dict.fromkeys(texts, f"x {secret}"),
        attributes={"k": [secret], secret: {"deep": secret}},
        resource={"r": secret},
        events=(Event(secret, None, {"exception.message": secret}),),
    )
    masked = MASKER.span(span)
    assert secret not in repr(masked)
    assert (masked.trace_id, masked.span_id, masked.parent_id) == (span.trace_id, span.span_id, span.parent_id)
    assert MASKER.span(masked) == masked


def test_what_cannot_be_masked_does_not_pass():
    """A value that the masker chokes on is replaced, not let through."""

    class Broken(dict):
        def items(self):
            raise RuntimeError

    deep: object = SHAPED[0]
    for _ in range(300):
        deep = [deep]
    assert MASKER.value(Broken(a=1)) == UNMASKABLE
    assert UNMASKABLE in repr(MASKER.value(deep))
    assert SHAPED[0] not in repr(MASKER.value(deep))


KEY = SHAPED[0]
WRAPS = {
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64url": lambda text: base64.urlsafe_b64encode(text.encode()).decode().rstrip("="),
    "percent": lambda text: urllib.parse.quote(text, safe="").replace("-", "%2D"),
    "json": lambda text: json.dumps(json.dumps({"k": text}))[1:-1],
    "unicode": lambda text: "".join(f"\\u{ord(letter):04x}" for letter in text),
    "html": lambda text: text.replace("-", "&#45;").replace("@", "&#x40;"),
}


@pytest.mark.parametrize("secret", [KEY, SHAPED[4], "bob@example.com"])
@pytest.mark.parametrize("first", WRAPS)
@pytest.mark.parametrize("second", [None, "base64", "percent", "json"])
def test_a_secret_has_one_pseudonym_in_every_encoding(secret, first, second):
    """In base64, percent-encoded, in JSON and HTML escapes, also in one another, it is the same secret."""
    wrapped = WRAPS[first](secret)
    wrapped = WRAPS[second](wrapped) if second else wrapped
    masked = MASKER.text(f"a={wrapped}&b=1")
    assert MASKER.text(secret) in masked
    assert wrapped not in masked
    assert masked.endswith("&b=1")


def test_base64_of_a_document_is_searched():
    """A key deep in a wrapped, encoded document takes the whole encoded piece with it, and no more."""
    document = json.dumps({"note": "x" * 300, "api_key": KEY, "more": ["y"] * 40})
    lines = base64.encodebytes(document.encode()).decode()
    alone = MASKER.text(KEY)
    assert MASKER.text(f"see\n{lines}end") == f"see\n{alone}\nend"
    assert MASKER.text(json.dumps(f"see\n{lines}end")) == json.dumps(f"see\n{alone}\nend")


def test_one_password_has_one_pseudonym_in_every_place():
    """In a Basic header, a URL, a form, JSON and base64 of `name:password`, a password is the same secret."""
    alone = MASKER.value({"password": "s3cr3t-pw"})["password"]
    basic = base64.b64encode(b"bob:s3cr3t-pw").decode()
    for text in (
        f"Authorization: Basic {basic}", basic, "https://bob:s3cr3t-pw@db/", "https://bob:s3cr3t%2dpw@db/",
        "password=s3cr3t%2Dpw&x=1", '{"password": "s3cr3t-pw"}', "--password s3cr3t-pw",
        "<password>s3cr3t-pw</password>",
        '{"name": "DB_PASSWORD", "value": "s3cr3t-pw"}', '{"passwords": ["other", "s3cr3t-pw"]}',
        '{"key":"password","value":{"stringValue":"s3cr3t-pw"}}', "&quot;password&quot;: &quot;s3cr3t-pw&quot;",
    ):  # fmt: skip
        masked = MASKER.text(text)
        assert alone in masked, text
        assert "s3cr3t" not in masked
    assert MASKER.value([{"name": "DB_PASSWORD", "value": "s3cr3t-pw"}]) == [{"name": "DB_PASSWORD", "value": alone}]


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("phone", "+49 30 901820"), ("phone", "+1 (212) 555-0182"), ("phone", "+12125550182"),
        ("phone", "+447911123456"),
        ("phone", "(212) 555-0182"), ("iban", "DE89 3704 0044 0532 0130 00"), ("iban", "GB82WEST12345698765432"),
        ("ssn", "078-05-1120"), ("card", "5500 0055 5555 5559"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("frame", ["{}", "call {}, please", '{{"x": "{}"}}', "a\\n{}\\nb", "({})", "x={};"])
def test_personal_numbers_never_pass(kind, text, frame):
    """Telephone, account, social security and card numbers are replaced, whatever surrounds them."""
    masked = MASKER.text(frame.format(text))
    assert re.fullmatch(re.escape(frame.format("@")).replace("@", rf"<{kind}:[0-9a-f]{{12}}>"), masked)


@pytest.mark.parametrize(
    "text", ["phone: 0301234567", '"phone_number": "555-123-4567"', "Tel. 030 / 123 45 67", "mobile=07911 123456"]
)
def test_national_numbers_are_known_by_the_word_in_front(text):
    """Without a country's code only the name of the field tells a telephone number."""
    assert "<phone:" in MASKER.text(text)
    assert not re.search(r"[0-9]{3}[ -]?[0-9]{2}", re.sub("<[^>]*>", "", MASKER.text(text)))


@pytest.mark.parametrize(
    "text",
    [
        "AccountKey=" + "aB3/" * 21 + "aB==", "twilio: SK" + "0a1b2c3d" * 4, "mailchimp " + "0a1b2c3d" * 4 + "-us12",
        "bot110201543:AA" + "aB3-" * 8 + "x",
        "sq0csp-" + "aB3_" * 10 + "abc", "softlayer_api_key " + "0a1b2c3d" * 8, "AKCp5" + "aB3dE6gH9j" * 6,
    ],
)  # fmt: skip
def test_the_librarys_detectors_are_asked(text):
    """Keys that only the library knows are masked too."""
    assert "<secret:" in MASKER.text(text)


def test_every_detector_of_the_library_is_accounted_for():
    """A new release's detectors are asked, with the words that hint at them, or named as not asked."""
    assert set(library.detectors()) <= set(library.HINTS) | library.OWN


def test_own_patterns_and_exceptions():
    """An operator's patterns are masked under their kind; what is allowed stays."""
    masker = Masker(b"k", patterns=[("customer", r"\bC-(\d{6})\b")], allow=["*@example.com", "git@github.com"])
    assert masker.text("C-123456") != "C-123456"
    assert masker.text("C-123456").startswith("C-<customer:")
    assert masker.text("bob@example.com git@github.com:o/r") == "bob@example.com git@github.com:o/r"
    assert masker.text("bob@elsewhere.org").startswith("<email:")


@pytest.mark.parametrize("pattern", [("Bad Kind", "x"), ("kind", "("), ("kind", "x*")])
def test_patterns_that_cannot_work_are_refused(pattern):
    """A kind that is no word, a broken expression and one that matches nothing are configuration errors."""
    with pytest.raises(UsageError, match="masking pattern"):
        Masker(b"k", patterns=[pattern])


@given(
    st.text(max_size=60), st.sampled_from([*SHAPED, PEM, "4111111111111111", "bob@example.com"]), st.text(max_size=60)
)
@settings(max_examples=300, deadline=None)
def test_a_secret_in_any_text_never_passes(before, secret, after):
    """Whatever surrounds a secret, set off by a space or put into JSON, it does not survive."""
    for text in (f"{before} {secret} {after}", json.dumps({"a": before, "k": f" {secret} ", "b": [after]})):
        masked = MASKER.text(text)
        assert secret not in masked
        assert json.dumps(secret)[1:-1] not in masked


@given(
    st.lists(
        st.sampled_from(
            [
                *SHAPED,
                *EVIDENCE,
                "password=",
                '"',
                "\\",
                ":",
                " ",
                "@",
                "a.b",
                "://u:",
                "x",
                "token: ",
                "4111 1111 1111 1111",
            ]
        ),
        max_size=12,
    )
)
@settings(max_examples=300, deadline=None)
def test_masking_twice_is_masking_once(pieces):
    """A masked text is left alone."""
    once = MASKER.text("".join(pieces))
    assert MASKER.text(once) == once


@given(
    st.lists(
        st.lists(
            st.sampled_from(
                [
                    "token=",
                    'token="abc12345',
                    'token="',
                    '"',
                    "abc12345",
                    "bob@",
                    "x.org",
                    "sk-ant-api03-Zx81mQ_vB7-kk29Lw0a",
                    "<token>",
                    "[",
                    ",",
                    "\\",
                    "\n",
                    " ",
                    "tel:",
                    "030 901820",
                    "&quot;",
                    "-----BEGIN PRIVATE KEY-----",
                    "%22",
                ]
            ),
            max_size=4,
        ).map("".join),
        max_size=12,
    )
)
@settings(max_examples=300, deadline=None)
def test_texts_masked_together_are_masked_as_each_alone(texts):
    """Whatever stands beside it, a text is masked as by itself: nothing reaches over into the next one."""
    assert Masker(b"key").texts(texts) == [Masker(b"key").text(text) for text in texts]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                [
                    *SHAPED, *EVIDENCE, *("".join(pair) for pair in SETTINGS), PEM,
                    "call +49 30 901820 or (212) 555-0182", "DE89 3704 0044 0532 0130 00", "ssn 078-05-1120",
                    "5500 0055 5555 5559", "Tel. 030 / 123 45 67", "Bob <bob@example.com>", "a%40b &#64; \\u0040",
                    "to\u212aen=abc12345", "curl -u bob:hunter2-hunter2", '{"name": "token", "value": "abc12345"}',
                    "<password>hunter2</password>", "--auth-token abc12345", "dXNlcjpwYXNzd29yZA==",
                ]
            ),
            st.integers(0, 60),
            st.integers(1, 60),
        ).map(lambda piece: piece[0][piece[1] % len(piece[0]) :][: piece[2]]),
        max_size=6,
    ).map("".join)
)  # fmt: skip
@settings(max_examples=1500, deadline=None)
def test_the_sieve_holds_back_whatever_a_rule_would_find(text):
    """A text that is passed over without asking the rules is one in which they find nothing."""
    if MASKER._is_clean(text):
        assert MASKER._pass(text, 0) == text


def test_an_open_quotation_mark_does_not_hide_a_key_among_names():
    """What a cut-off name leaves open is not closed by another name."""
    texts = ['token="abc12345', 'said "no"', "lookup_order", "claude-sonnet-5-5"]
    assert Masker(b"key").texts(texts)[0] != texts[0]


@given(st.text(st.characters(exclude_characters="@", categories=["L", "Zs", "P"]), max_size=200))
@settings(max_examples=200, deadline=None)
def test_text_without_secrets_is_unchanged(text):
    """Letters, spaces and punctuation of any language are no secret as long as no name of one stands there."""
    if not any(
        word in text.lower() for word in ("pass", "pwd", "secret", "token", "key", "auth", "cookie", "credential")
    ):
        assert MASKER.text(text) == text


@pytest.mark.parametrize(
    "piece",
    ["a@", "eyJ", "eyJaaaaaaaaaaa.", "://:", "://a:b", "4111 ", "4", 'password="', 'password=\\"', "token:", "sk-",
     "-----BEGIN PRIVATE KEY-----", "authorization: ", "\\", "x" * 60 + "@", "a.", "_" + "A" * 16, "Bearer ",
     "%41", "a%41 ", "\\u0040", "&#64;", "aGVsbG8gd29ybGQgaGVsbG8g ", "Ab" * 38 + "\\n", "+49", "+1 2", "tel:", "AA00",
     "DE89 3704 0044 ", "aws0Aaaaaaaaaaaaaaaa ", "4242 4242 4242 4241 ", 'password=["a",', "<password>", "&quot;"],
)  # fmt: skip
def test_hostile_text_takes_time_in_proportion(piece):
    """Four times as much of any repeated beginning of a secret takes about four times as long.

    By processor time, and twice that allowed: the machine may be slow or busy, but nothing may be quadratic, which
    would take sixteen times as long. A text of a quarter of a megabyte takes a quarter of a second where nobody else is
    at work.
    """

    def took_s(characters):
        start = time.process_time()
        MASKER.text(piece * (characters // len(piece)))
        return time.process_time() - start

    few_s = max(took_s(62_500), took_s(62_501 + len(piece)))
    assert took_s(250_000) < 8 * few_s + 0.05


@pytest.mark.parametrize(
    ("name", "says"),
    [("gen_ai.response.id", True), ("password", False), ("db_password", False), ("bob@example.com", False), (5, False)],
)
def test_a_name_that_says_nothing_leaves_the_word_to_its_value(name, says):
    """Only a field whose name neither names a secret nor holds one may be judged by its value alone."""
    assert MASKER.says_nothing(name) is says
    if says:
        assert MASKER.value({name: "hunter22"}) == {name: "hunter22"}
