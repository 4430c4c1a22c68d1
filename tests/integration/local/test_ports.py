"""Ports: the same as last time where that is possible, and a word where it is not."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deploy.local.ports import Ports, PortTaken
from deploy.local.state import StateFolder


@contextmanager
def _occupied(port: int = 0) -> Iterator[int]:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", port))
        taken.listen()
        yield taken.getsockname()[1]


@contextmanager
def _ports(folder: Path, said: list[str]) -> Iterator[Ports]:
    state = StateFolder(folder)
    state.folder()
    ports = Ports(state, said.append, random.Random())
    ports.load()
    try:
        yield ports
        ports.save()
    finally:
        ports.close()


def test_ports_stay_the_same_from_run_to_run(tmp_path: Path) -> None:
    said: list[str] = []
    with _ports(tmp_path, said) as first:
        chosen = [first.take("nats"), first.take("s3"), first.take_near("gateway", 23_456)]
    with _ports(tmp_path, said) as second:
        assert [second.take("nats"), second.take("s3"), second.take_near("gateway", 23_456)] == chosen
    assert said == []


def test_a_port_that_is_taken_is_replaced_with_a_word_about_it(tmp_path: Path) -> None:
    said: list[str] = []
    with _ports(tmp_path, said) as first:
        before = first.take("s3")
    with _occupied(before), _occupied() as wanted, _ports(tmp_path, said) as second:
        after, gateway = second.take("s3"), second.take_near("gateway", wanted)
    assert after != before
    assert gateway > wanted
    assert said == [
        f"Port {before} is taken; s3 listens on {after} instead.",
        f"Port {wanted} is taken; gateway listens on {gateway} instead.",
    ]


def test_a_port_that_was_asked_for_is_not_replaced(tmp_path: Path) -> None:
    with (
        _occupied() as wanted,
        _ports(tmp_path, []) as ports,
        pytest.raises(PortTaken, match=f"Port {wanted}, which CRAFIQ_GATEWAY_PORT asks for"),
    ):
        ports.take_exactly("gateway", wanted)


def test_two_who_start_at_once_choose_different_ports(tmp_path: Path) -> None:
    with _ports(tmp_path / "a", []) as one, _ports(tmp_path / "b", []) as other:
        assert {one.take(str(n)) for n in range(20)}.isdisjoint({other.take(str(n)) for n in range(20)})
