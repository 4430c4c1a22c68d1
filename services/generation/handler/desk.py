"""What the RPCs of this service work with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from crafiq.assets.v1 import assets_pb2_grpc
from crafiq.billing.v1 import billing_pb2_grpc

from chassis.pages import Pages
from services.generation.domain import Catalogue, Route
from services.generation.repository import Jobs


@dataclass(frozen=True)
class Desk:
    """Made once, in `__main__`. `key` keys the ids of generations.

    A person may watch `streams` at a time and have `waiting` jobs in the queue.
    """

    jobs: Jobs
    catalogue: Catalogue
    routes: Mapping[str, Route]
    assets: assets_pb2_grpc.AssetsServiceAsyncStub
    billing: billing_pb2_grpc.BillingServiceAsyncStub
    pages: Pages
    key: bytes
    streams: int = 8
    waiting: int = 50


class At:
    """A part of the handler, at its desk."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
