"""`crafiq receipt verify FILE`: what it takes for ours, and what it says of everything else."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from jwcrypto.common import JWException
from jwcrypto.jwk import JWKSet
from jwcrypto.jws import JWS

from cli.__main__ import main
from services.privacy.adapters import RECEIPT, SUPPLEMENT, ReceiptKeys
from tests.support import signing_key

README = Path(__file__).parents[3] / "services" / "privacy" / "README.md"
promise = pytest.mark.promise("9-delete-now", "11-erase")
SAID: dict[str, Any] = {
    "iss": "crafiq-privacy",
    "erasure": "erasures/1b4e28ba",
    "signed": "2026-01-01T12:00:00.000Z",
    "holders": [
        {
            "holder": "assets",
            "counted": True,
            "data": [
                {"category": "MEDIA", "fate": "ERASED_NOW", "foundBefore": 4, "leftNow": 0},
                {"category": "CONTENT", "fate": "ERASED_NOW", "foundBefore": 3, "leftNow": 0},
            ],
        },
        {"holder": "billing", "counted": False, "data": []},
    ],
    "bus": {"foundBefore": 2, "leftNow": 0},
    "retained": [
        {
            "holder": "identity",
            "category": "EMAIL",
            "ground": "to prevent fraud",
            "until": "2026-07-01",
            "count": 1,
        }
    ],
    "vendorCopies": [{"vendor": "vendors/openai", "count": 2, "until": "2026-01-31"}],
}


@dataclass
class Desk:
    """A folder with keys, and whatever they sign."""

    folder: Path
    keys: ReceiptKeys

    def __post_init__(self) -> None:
        self.publish(self.keys)

    def publish(self, keys: ReceiptKeys) -> None:
        published = {"keys": [each.jwk for each in keys.public]}
        (self.folder / "keys.json").write_text(json.dumps(published), encoding="ascii")

    def receipt(self, typ: str = RECEIPT, **different: Any) -> str:
        """Put a receipt there; answers it."""
        compact = self.keys.sign(typ, SAID | different)
        self.put(compact)
        return compact

    def put(self, compact: str) -> None:
        (self.folder / "receipt.jws").write_text(compact, encoding="utf-8")

    def verify(self, *more: str) -> int:
        """The command, as an operator types it."""
        keys = () if "--keys" in more else ("--keys", str(self.folder / "keys.json"))
        return main(["receipt", "verify", str(self.folder / "receipt.jws"), *keys, *more])


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    signing_key(tmp_path / "pem", "first")
    return Desk(tmp_path, ReceiptKeys(tmp_path / "pem"))


@promise
def test_a_true_receipt_is_verified_and_told_in_sentences(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    desk.receipt()
    assert desk.verify() == 0
    assert capsys.readouterr().out.splitlines() == [
        "Verified: a receipt of erasures/1b4e28ba, signed 2026-01-01T12:00:00.000Z.",
        "  assets: 7 entries found before, 0 left",
        "  billing: not counted before, because it was silent; 0 left",
        "  bus: 2 messages found before, 0 left",
        "  kept by identity until 2026-07-01: EMAIL, to prevent fraud",
        "  vendors/openai: 2 copies, which end by 2026-01-31 at the latest",
    ]


@promise
def test_a_supplement_is_called_one(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    scrub = {"searchedBytes": 10**9, "searchedValues": 3, "hits": 0}
    desk.put(
        desk.keys.sign(
            SUPPLEMENT, {key: SAID[key] for key in ("iss", "erasure", "signed")} | {"scrub": scrub}
        )
    )
    assert desk.verify() == 0
    assert capsys.readouterr().out.splitlines() == [
        "Verified: a supplement of erasures/1b4e28ba, signed 2026-01-01T12:00:00.000Z.",
        "  scrub: 1,000,000,000 bytes searched for 3 values, 0 found",
    ]


@promise
def test_an_old_receipt_is_verified_after_the_key_has_changed(desk: Desk) -> None:
    desk.receipt()
    signing_key(desk.folder / "pem", "second")
    desk.publish(ReceiptKeys(desk.folder / "pem"))
    assert desk.verify() == 0


def altered(compact: str, part: int, old: str, new: str) -> str:
    """The same JWS with something else in its header (0) or payload (1)."""
    parts = compact.split(".")
    said = urlsafe_b64decode(parts[part] + "==").decode()
    assert old in said
    parts[part] = urlsafe_b64encode(said.replace(old, new).encode()).decode().rstrip("=")
    return ".".join(parts)


NOT_SIGNED = "Not verified: this was not signed with one of these keys, or was altered since\n"


@promise
def test_what_was_altered_is_not_verified(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    compact = desk.receipt()
    changes = [
        (1, '"leftNow":0', '"leftNow":1'),
        (1, "erasures/1", "erasures/2"),
        (0, RECEIPT, SUPPLEMENT),
        (0, "first", "other"),
        (0, "ES256", "none"),
        (0, "ES256", "HS256"),
    ]
    for change in changes:
        desk.put(altered(compact, *change))
        assert desk.verify() == 1, change
        assert capsys.readouterr() == ("", NOT_SIGNED), change
    header, body, signature = compact.split(".")
    for made in (f"W10.{body}.{signature}", f"e30.{body}.{signature}", f"{header}..{signature}", ".."):
        desk.put(made)
        assert desk.verify() == 1, made
        assert capsys.readouterr() == ("", NOT_SIGNED), made
    body, _, _ = compact.rpartition(".")
    for signature in ("", "A" * 86, "%"):
        desk.put(f"{body}.{signature}")
        assert desk.verify() == 1, signature
        assert capsys.readouterr() == ("", NOT_SIGNED), signature


@promise
def test_another_platforms_key_does_not_verify_ours(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    desk.receipt()
    signing_key(desk.folder / "foreign", "first")  # under the same name
    desk.publish(ReceiptKeys(desk.folder / "foreign"))
    assert desk.verify() == 1
    assert capsys.readouterr() == ("", NOT_SIGNED)


@promise
@pytest.mark.parametrize(
    ("typ", "different", "why"),
    [
        (RECEIPT, {"iss": "somebody"}, "somebody signed this, not crafiq-privacy"),
        ("JWT", {}, "this is signed, but as JWT, which is neither a receipt nor a supplement"),
    ],
)
def test_what_was_signed_for_something_else_is_no_receipt(
    desk: Desk, capsys: pytest.CaptureFixture[str], typ: str, different: dict[str, str], why: str
) -> None:
    desk.receipt(typ, **different)
    assert desk.verify() == 1
    assert capsys.readouterr() == ("", f"Not verified: {why}\n")


@pytest.mark.parametrize("text", ["", "a receipt", "é.é", "{}", "a.b.c.d"])
def test_what_is_no_jws_is_said_to_be_none(desk: Desk, capsys: pytest.CaptureFixture[str], text: str) -> None:
    desk.put(text)
    assert desk.verify() == 1
    assert capsys.readouterr().err.startswith("Not verified: this is no JWS: give the file as GET /v1/")


@pytest.mark.parametrize("text", ["", "keys", "[]", "{}", '{"keys": 7}', '{"keys": [{}]}'])
def test_keys_that_are_none_are_said_to_be_none(
    desk: Desk, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    desk.receipt()
    (desk.folder / "keys.json").write_text(text)
    assert desk.verify() == 1
    assert capsys.readouterr().err == (
        "Not verified: these are no keys: give the JWK Set that GET /v1/receipts/keys answers\n"
    )


def test_a_missing_file_is_another_matter(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    assert desk.verify() == 2
    assert "receipt.jws" in capsys.readouterr().err
    desk.receipt()
    assert desk.verify("--keys", str(desk.folder / "nowhere.json")) == 2
    assert "nowhere.json" in capsys.readouterr().err


def test_keys_may_be_at_a_url_and_a_silent_one_is_named(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    desk.receipt()
    keys = (desk.folder / "keys.json").read_bytes()

    class Published(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(keys)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Published) as server:
        url = f"http://127.0.0.1:{server.server_port}/v1/receipts/keys"
        serving = Thread(target=server.handle_request)
        serving.start()
        assert desk.verify("--keys", url) == 0
        serving.join()
    assert desk.verify("--keys", url) == 2
    assert capsys.readouterr().err == f"Not verified: {url} does not answer: [Errno 111] Connection refused\n"


def documented(command: str) -> str:
    """The line of the README that begins with this."""
    [line] = re.findall(rf"^{re.escape(command)} .*$", README.read_text(encoding="utf-8"), re.MULTILINE)
    return str(line)


@promise
@pytest.mark.skipif(shutil.which("jose") is None, reason="the public tool `jose` is not installed here")
def test_the_documented_line_verifies_with_a_public_tool(desk: Desk) -> None:
    def run() -> int:
        line = documented("jose jws ver")
        return subprocess.run(line, shell=True, cwd=desk.folder, check=False, capture_output=True).returncode  # noqa: S602  # as documented

    compact = desk.receipt()
    assert run() == 0
    assert json.loads((desk.folder / "receipt.json").read_text()) == SAID
    desk.put(altered(compact, 1, '"leftNow":0', '"leftNow":1'))
    assert run() != 0


@promise
def test_a_library_that_is_not_ours_verifies_it(desk: Desk) -> None:
    compact = desk.receipt()
    keys = JWKSet.from_json((desk.folder / "keys.json").read_text())
    token = JWS()
    token.deserialize(compact, keys)
    assert json.loads(token.payload) == SAID
    assert token.jose_header["typ"] == RECEIPT
    with pytest.raises(JWException):
        JWS().deserialize(altered(compact, 1, '"leftNow":0', '"leftNow":1'), keys)


@promise
def test_our_own_documented_line_is_the_command(desk: Desk) -> None:
    desk.receipt()
    words = shlex.split(documented("./crafiq receipt verify"), comments=True)[1:]
    assert main([str(desk.folder / word) if "." in word else word for word in words]) == 0
