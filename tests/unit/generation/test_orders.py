"""What is a good order, what it costs, and how a bad one is refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from chassis.errors import Refusal
from services.generation.domain import Quote, Task, Wish, quote
from services.generation.domain.refusals import (
    CountTooLarge,
    InputRequired,
    InputsTooLarge,
    InputsTooMany,
    InputTypeUnsupported,
    InputUnwanted,
    ParametersRefused,
    PromptRequired,
    PromptUnreadable,
    TaskUnsupported,
)
from tests.unit.generation.test_catalogue import SHIPPED, small

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
WORDS = Wish("", Task.TEXT_TO_IMAGE, "a brass key", (), 1, {})
PHOTO = Wish("", Task.IMAGE_TO_IMAGE, "in copper", ("assets/1",), 1, {})


def quoted(wish: Wish) -> Quote:
    return quote(SHIPPED, wish, NOW)


def test_the_price_is_that_of_one_output_times_their_number() -> None:
    assert quoted(replace(WORDS, count=3)).credits == 3 * quoted(WORDS).credits == 12
    assert quoted(replace(WORDS, model="gpt-image-2.6-sunburst")).credits == 8


def test_what_a_person_leaves_open_is_filled_in_so_that_it_is_known_what_was_sent() -> None:
    sent = quoted(replace(WORDS, parameters={"size": "1536x1024"})).parameters
    assert sent == {"size": "1536x1024", "quality": "medium", "output_format": "png"}


def test_line_breaks_tabs_and_any_script_are_plain_text() -> None:
    prompt = "一枚の葉\n\t🍂 \u200fשלום"
    assert quoted(replace(WORDS, prompt=prompt)).wish.prompt == prompt


@pytest.mark.parametrize(
    ("wish", "refusal", "field"),
    [
        (replace(WORDS, prompt=""), PromptRequired, "prompt"),
        (replace(WORDS, prompt=" \n\t"), PromptRequired, "prompt"),
        (replace(WORDS, prompt="a\x00b"), PromptUnreadable, "prompt"),
        (replace(WORDS, prompt="a\x1b[2Jb"), PromptUnreadable, "prompt"),
        (replace(WORDS, inputs=("assets/1",)), InputUnwanted, "inputAssets"),
        (replace(PHOTO, inputs=()), InputRequired, "inputAssets"),
        (replace(PHOTO, inputs=tuple(f"assets/{n}" for n in range(9))), InputsTooMany, "inputAssets"),
        (replace(WORDS, count=5), CountTooLarge, "count"),
        (replace(WORDS, model="gpt-image-2", task=Task.TEXT_TO_3D), TaskUnsupported, "task"),
        (replace(WORDS, parameters={"size": "1x1"}), ParametersRefused, "parameters.size"),
        (replace(WORDS, parameters={"size": ""}), ParametersRefused, "parameters.size"),
        (replace(WORDS, parameters={"quality": None}), ParametersRefused, "parameters.quality"),
        (replace(WORDS, parameters={"user": "me"}), ParametersRefused, "parameters.user"),
        (replace(WORDS, parameters={"my\u202e words": "1"}), ParametersRefused, "parameters.(unreadable)"),
    ],
)
def test_a_bad_order_is_refused_and_the_field_is_named(
    wish: Wish, refusal: type[Refusal], field: str
) -> None:
    with pytest.raises(refusal) as refused:
        quoted(wish)
    assert [named for named, _ in refused.value.violations] == [field]


def test_a_refused_parameter_says_what_is_offered() -> None:
    with pytest.raises(ParametersRefused) as refused:
        quoted(replace(WORDS, parameters={"size": "1x1", "seed": None}))
    assert refused.value.violations == (
        ("parameters.size", "one of 1024x1024, 1536x1024, 1024x1536"),
        ("parameters.seed", "not a parameter of this model"),
    )


@pytest.mark.promise("2a-input-text")
def test_no_refusal_repeats_what_a_person_wrote() -> None:
    secret = "zebra"
    for wish in (
        replace(WORDS, prompt=f"{secret}\x00"),
        replace(WORDS, prompt=secret, count=9),
        replace(WORDS, parameters={"size": secret}),
        replace(WORDS, parameters={f"{secret} {secret}": None}),
        replace(WORDS, model=f"{secret} {secret}"),
    ):
        with pytest.raises(Refusal) as refused:
            quoted(wish)
        assert secret not in f"{refused.value} {refused.value.metadata} {refused.value.violations}"


def test_inputs_have_to_be_of_a_type_and_size_that_the_model_reads() -> None:
    order = quoted(PHOTO)
    order.check_inputs([("assets/1", "image/webp", 40_000_000)])
    with pytest.raises(InputTypeUnsupported):
        order.check_inputs([("assets/1", "model/gltf-binary", 1)])
    with pytest.raises(InputsTooLarge):
        order.check_inputs([("assets/1", "image/png", 39_000_000), ("assets/2", "image/png", 2_000_000)])


def test_a_model_without_parameters_takes_none() -> None:
    assert quote(small(), WORDS, NOW).parameters == {}
    with pytest.raises(ParametersRefused, match="it offers none"):
        quote(small(), replace(WORDS, parameters={"size": "1024x1024"}), NOW)
