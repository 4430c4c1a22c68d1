"""A mark of 24 random bytes, put into a file in every place there is: it is gone, or the file is refused.

Where it may stay is listed here and in the service's README: in what decodes to pictures, sound, meshes.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chassis.errors import Refusal
from services.assets.domain.media import TYPES, sniff
from tests.unit.assets import scenes
from tests.unit.assets.recordings import NAMES, recording
from tests.unit.assets.trees import FORMS, Splices, place

MAY_STAY: dict[str, set[str]] = {
    # Samples, and the parameter sets of H.264, H.265 and AV1, which are coded pictures as well.
    "video/mp4": {"mdat", *(f"moov/trak/mdia/minf/stbl/stsd/{place}" for place in (
        "avc1/avcC", "hev1/hvcC", "av01/av1C",
    ))},
    # Frames and their alpha; codebooks of Vorbis, as long as they can be read to their end.
    "video/webm": {
        "Segment/Cluster/SimpleBlock", "Segment/Cluster/BlockGroup/Block",
        "Segment/Cluster/BlockGroup/BlockAdditions/BlockMore/BlockAdditional",
        "Segment/Tracks/TrackEntry/CodecPrivate",
    },
    "audio/ogg": {"sound", "setup"},
    "audio/wav": {"data"},
    "audio/flac": {"frames"},
    "audio/mpeg": {"frame"},
}  # fmt: skip
MARK = random.Random(24).randbytes(24)


def left(kind: str, content: bytes, mark: bytes) -> str | None:
    """The part of the cleaned file in which the mark is; None if it is gone, or the file refused."""
    try:
        after = TYPES[kind].clean(content).content
    except Refusal:
        return None
    return place(FORMS[kind], after, mark) if mark in after else None


def stays(kind: str, splices: Iterator[tuple[str, bytes]], mark: bytes) -> dict[str, str]:
    """Where the mark stayed, and an example of where it had been put for that."""
    stayed: dict[str, str] = {}
    for where, content in splices:
        assert mark in content
        found = left(kind, content, mark)
        if found is not None:
            stayed.setdefault(found, where)
    return stayed


@pytest.mark.parametrize("name", ["H.264 and AAC", "VP9 and Opus", "MP3", "FLAC", "Vorbis", "WAVE"])
@pytest.mark.promise("2a-input-media")
def test_what_is_put_into_a_recording_stays_only_in_pictures_and_sound(name: str) -> None:
    kind, content = recording(name)
    stayed = stays(kind, Splices(FORMS[kind], content).all(MARK), MARK)
    assert stayed.keys() <= MAY_STAY[kind], stayed
    # What can be anything stays: otherwise this looked in the wrong place. Frames of FLAC have checksums.
    assert stayed or kind == "audio/flac"


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", NAMES)
def test_what_is_put_anywhere_into_a_recording_stays_only_in_pictures_and_sound(name: str) -> None:
    kind, content = recording(name)
    mark = random.Random(name).randbytes(24)
    stayed = stays(kind, Splices(FORMS[kind], content, alike=6, over=40).all(mark), mark)
    assert stayed.keys() <= MAY_STAY[kind], stayed


def json_splices(description: Any, words: str) -> Iterator[tuple[str, Any]]:
    """The description with words in each object and list, and in the place of each value."""
    todo = [("", description)]
    while todo:
        path, item = todo.pop()
        children = list(item.items() if isinstance(item, dict) else enumerate(item))
        for key, value in children:
            if isinstance(value, dict | list):
                todo.append((f"{path}/{key}", value))
            for other in (words, [words], {"name": words}):
                item[key] = other
                yield f"instead of {path}/{key}", description
            item[key] = value
        if isinstance(item, dict):
            yield from _said(path, item, description, words)
        else:
            item.append(words)
            yield f"at the end of {path}", description
            item.pop()


def _said(path: str, item: dict[str, Any], description: Any, words: str) -> Iterator[tuple[str, Any]]:
    extensions = item.get("extensions", {})
    for key, value in {
        "name": words, "extras": {"who": words}, "unknown": words, words: 1, "uri": words,
        "extensions": extensions | {"KHR_materials_unlit": {"who": words}, "EXT_x": {"y": words}, words: {}},
    }.items():  # fmt: skip
        before = item.get(key)
        item[key] = value
        yield f"{key} in {path}", description
        item.pop(key)
        if before is not None:
            item[key] = before


def test_what_is_put_into_the_description_of_a_model_never_stays() -> None:
    words = MARK.hex()[:24]
    description, binary = scenes.parts(scenes.everything())
    tried = 0
    for where, changed in json_splices(description, words):
        tried += 1
        try:
            after = TYPES["model/gltf-binary"].clean(scenes.packed(changed, binary)).content
        except Refusal:
            continue
        assert words.encode() not in after, where
    assert tried > 1000
    assert description == scenes.parts(scenes.everything())[0]


def test_what_is_put_into_the_data_of_a_model_stays_only_where_a_mesh_reads_it() -> None:
    description, binary = scenes.parts(scenes.everything())
    mixed = next(number for number, view in enumerate(description["bufferViews"]) if "byteStride" in view)
    stayed = set[int]()
    for at in range(len(binary) - len(MARK)):
        changed = scenes.packed(description, binary[:at] + MARK + binary[at + len(MARK) :])
        try:
            after, data = scenes.parts(TYPES["model/gltf-binary"].clean(changed).content)
        except Refusal:
            continue
        if MARK in data:
            stayed |= _views(after, data.index(MARK))
    large = {number for number, view in enumerate(description["bufferViews"]) if view["byteLength"] >= 24}
    assert mixed not in stayed
    assert stayed >= large - {mixed}


def _views(description: scenes.Json, at: int) -> set[int]:
    """The views that a mark at that place is in, every byte of it."""
    views = description["bufferViews"]
    found = [
        {
            n
            for n, view in enumerate(views)
            if view["byteOffset"] <= byte < view["byteOffset"] + view["byteLength"]
        }
        for byte in range(at, at + len(MARK))
    ]
    assert all(found), "a byte of it is in no view"
    return set().union(*found)


def test_what_is_put_around_the_parts_of_a_model_never_stays() -> None:
    content = scenes.everything()
    size = len(content)
    chunk = len(MARK).to_bytes(4, "little") + b"NOTE" + MARK
    longer = content[:8] + (size + len(chunk)).to_bytes(4, "little") + content[12:]
    behind = int.from_bytes(content[12:16], "little") + 20
    for changed in (
        content + MARK, longer + chunk, longer[:12] + chunk + longer[12:],
        longer[:behind] + chunk + longer[behind:],
    ):  # fmt: skip
        try:
            after = TYPES["model/gltf-binary"].clean(changed).content
        except Refusal:
            continue
        assert MARK not in after


SPLICE = st.tuples(st.integers(0, 10**6), st.integers(0, 10**6), st.sampled_from((0, 0, 8, 24)))
MARKS = st.binary(min_size=24, max_size=24).filter(lambda mark: len(set(mark)) > 12)
marked = given(st.sampled_from(NAMES), MARKS, st.lists(SPLICE, min_size=1, max_size=4))


def check(name: str, mark: bytes, splices: list[tuple[int, int, int]]) -> None:
    """Put the mark into parts by number, each time at a place in it, over so many bytes of it."""
    kind, content = recording(name)
    form = FORMS[kind]
    roots = form.read(content)
    parts = [part for root in roots for part in root.walk()]
    for number, where, over in splices:
        part = parts[number % len(parts)]
        at = where % (len(part.content) + 1)
        part.content = part.content[:at] + mark + part.content[at + over :]
    changed = form.write(roots)
    if sniff(changed) == kind:
        assert left(kind, changed, mark) in MAY_STAY[kind] | {None}


@settings(max_examples=300, deadline=None)
@marked
def test_marks_anywhere_stay_only_in_pictures_and_sound(
    name: str, mark: bytes, splices: list[tuple[int, int, int]]
) -> None:
    check(name, mark, splices)


@pytest.mark.slow
@pytest.mark.timeout(600)
@settings(max_examples=10_000, deadline=None)
@marked
def test_many_marks_anywhere_stay_only_in_pictures_and_sound(
    name: str, mark: bytes, splices: list[tuple[int, int, int]]
) -> None:
    check(name, mark, splices)
