"""What is looked for is found however it is spelled, and nothing else is."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from urllib.parse import quote, quote_plus
from uuid import UUID

import pytest

from cli.search import Needles, Sought, needles
from cli.search.files import look_through

VALUE = 'Zoë \u202e Quill/feather & "son"'
SPELLED = {
    "UTF-8": VALUE.encode(),
    "UTF-16": VALUE.encode("utf-16-le"),
    "JSON, ASCII only": json.dumps(VALUE).encode(),
    "JSON": json.dumps(VALUE, ensure_ascii=False).encode(),
    "Python": repr(VALUE).encode(),
    "URL": quote(VALUE).encode(),
    "URL, all of it": quote(VALUE, safe="").encode(),
    "form": quote_plus(VALUE).encode(),
    "hex": VALUE.encode().hex().encode(),
    "HEX": VALUE.encode().hex().upper().encode(),
    "a URL in JSON": json.dumps(quote(VALUE)).encode(),
}


def found(content: bytes, value: bytes = VALUE.encode()) -> int:
    return len({hit.at for hit in Needles([Sought("it", value)]).within(content, "there")})


@pytest.mark.parametrize("spelled", SPELLED.values(), ids=SPELLED)
def test_a_value_is_found_in_every_spelling(spelled: bytes) -> None:
    assert found(b"before " + spelled + b" behind") == 1
    assert not found(b"before " + spelled[:-4] + b" behind")


@pytest.mark.parametrize("before", range(6))
@pytest.mark.parametrize("behind", range(3))
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_a_value_is_found_in_the_base64_of_something_larger(before: int, behind: int, encode: object) -> None:
    assert callable(encode)
    assert found(encode(b"q" * before + VALUE.encode() + b"z" * behind)) == 1


def test_bytes_that_are_no_text_are_found() -> None:
    value = b"\xff\xfe" + os.urandom(14)
    for spelled in (value, value.hex().encode(), base64.b64encode(b"." + value)):
        assert found(spelled, value)


def test_a_uuid_is_found_as_its_bytes() -> None:
    text = "0b5e7c3e-1111-4222-8333-444455556666"
    assert found(b"key" + UUID(text).bytes, text.encode())
    assert found(UUID(text).hex.encode(), text.encode())


def test_a_long_text_is_found_by_any_part_of_it() -> None:
    text = " ".join(f"ein längeres Wort {number}" for number in range(400)).encode()
    half = len(text) // 2
    for part in (text[:60], text[half - 40 : half + 40], text[-60:]):
        assert found(b"\0" * 9 + part + b"\0" * 9, text)
    assert not found(text[60:100], text)


def test_a_value_across_the_end_of_a_chunk_is_found_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(needles, "CHUNK", 512)
    value = b"a value of thirty-one characters"
    for at in range(400, 1100, 13):
        (tmp_path / "file").write_bytes(b"." * at + value + b"." * 900)
        size, hits = Needles([Sought("it", value)]).in_file(tmp_path / "file", "file")
        assert (size, [hit.at for hit in hits]) == (at + len(value) + 900, [at])


def test_raw_files_are_all_but_keys_and_what_somebody_took_home(tmp_path: Path) -> None:
    for name in (
        "postgres/base/1",
        "s3/1.dat",
        "logs/a.log",
        "secrets/s3/key",
        "tls/x",
        "peppers/1",
        "demo/1/x",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(VALUE.encode())
    (tmp_path / "endpoints.json").write_bytes(VALUE.encode())
    looked = look_through(tmp_path, Needles([Sought("it", VALUE.encode())]))
    places = {hit.place for hit in looked.hits}
    assert places == {"postgres/base/1", "s3/1.dat", "logs/a.log", "endpoints.json"}
    assert (looked.files, looked.size) == (4, 4 * len(VALUE.encode()))


def test_nothing_to_look_for_is_found_nowhere() -> None:
    assert not list(Needles([]).within(b"anything", ""))
    assert not found(b"")
