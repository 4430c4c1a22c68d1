"""What is kept of where a call came from."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.identity.domain.origins import UNKNOWN, coarse, network, network_address


@pytest.mark.promise("2b-device")
@pytest.mark.parametrize(
    ("user_agent", "device"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on Linux"),
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/140.0 Safari/537.36 Edg/140.0.0.0",
            "Edge on Windows",
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) Version/19.0 Mobile/15E148 Safari/604.1",
            "Safari on iPhone",
        ),
        (
            "Mozilla/5.0 (Linux; Android 16; Pixel 9) Chrome/140.0.0.0 Mobile Safari/537.36",
            "Chrome on Android",
        ),
        ("curl/8.5.0", "curl"),
        ("", UNKNOWN),
        ("Ada's own machine 1.0", UNKNOWN),
    ],
)
def test_the_device_is_coarse(user_agent: str, device: str) -> None:
    assert coarse(user_agent) == device


@given(st.text())
def test_nothing_of_the_user_agent_itself_is_kept(user_agent: str) -> None:
    assert coarse(user_agent + "secret-7f3a") == coarse(user_agent)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("203.0.113.7", "203.0.113.7"),
        (" 2001:DB8::1 ", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("unknown", ""),
        ("203.0.113.7:443", ""),
        ("", ""),
    ],
)
def test_only_a_network_address_is_kept_as_one(given: str, kept: str) -> None:
    assert network_address(given) == kept


@pytest.mark.parametrize(
    ("given", "shared"),
    [
        ("203.0.113.7", "203.0.113.0/24"),
        ("::ffff:203.0.113.7", "203.0.113.0/24"),
        ("2001:db8:aa:bb::1", "2001:db8:aa::/48"),
        ("unknown", ""),
        ("", ""),
    ],
)
def test_a_network_is_what_one_party_can_be_expected_to_have(given: str, shared: str) -> None:
    assert network(given) == shared
