"""Path templates become paths; no wildcard swallows a verb."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.gateway.template import Template


@pytest.mark.parametrize(
    ("text", "matching", "others"),
    [
        ("/v1/assets", "/v1/assets", "/v1/assets/ /v1/assets/a /v1/asset /v1/assets:x"),
        ("/v1/{name=assets/*}", "/v1/assets/a1 /v1/assets/%3A", "/v1/assets/ /v1/assets/a/b /v1/assets/a:b"),
        ("/v1/{name=assets/*}:load", "/v1/assets/a:load", "/v1/assets/a /v1/assets/a:b:load"),
        ("/v1/accounts:verifyEmail", "/v1/accounts:verifyEmail", "/v1/accounts:verifyemail /v1/accounts"),
        ("/v1/{name=generations/*}/egress", "/v1/generations/g/egress", "/v1/generations/egress"),
        ("/v1/{asset}", "/v1/a", "/v1/a/b /v1/a:b"),
        ("/v1/{path=**}", "/v1/a /v1/a/b/c", "/v1/a/b:c"),
        ("/.well-known/jwks.json", "/.well-known/jwks.json", "/.well-known/jwksxjson"),
    ],
)
def test_a_template_matches_its_paths_and_no_others(text: str, matching: str, others: str) -> None:
    regex = Template.parse(text).regex
    assert [path for path in matching.split() if not re.fullmatch(regex, path)] == []
    assert [path for path in others.split() if re.fullmatch(regex, path)] == []


@given(st.text(min_size=1, max_size=30))
def test_no_resource_name_reaches_a_verb(name: str) -> None:
    plain = Template.parse("/v1/{name=assets/*}").regex
    assert bool(re.fullmatch(plain, f"/v1/assets/{name}")) == (not set(name) & {"/", ":"})


@pytest.mark.parametrize(
    "text", ["v1/assets", "/v1/{name=assets/*", "/v1/a b", "/v1/x:", "/v1//x", "/v1/x?y", ""]
)
def test_what_is_no_template_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a path template"):
        Template.parse(text)


def test_verbs_come_first_and_double_wildcards_last() -> None:
    texts = [
        "/v1/{path=**}",
        "/v1/{name=assets/*}",
        "/v1/assets/me",
        "/v1/{name=assets/*}:download",
        "/v1/assets:x",
    ]
    ordered = sorted((Template.parse(text) for text in texts), key=lambda template: template.order)
    assert [t.text for t in ordered] == [
        "/v1/assets:x",
        "/v1/{name=assets/*}:download",
        "/v1/assets/me",
        "/v1/{name=assets/*}",
        "/v1/{path=**}",
    ]


def test_only_a_path_without_wildcards_is_fixed() -> None:
    assert Template.parse("/v1/sessions:refresh").fixed == "/v1/sessions:refresh"
    assert Template.parse("/v1/{name=assets/*}").fixed is None
