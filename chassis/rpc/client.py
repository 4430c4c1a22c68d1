"""Channels to peers, and what their errors mean."""

from __future__ import annotations

import grpc

from chassis.errors import Refusal


def refusal_from(error: grpc.RpcError) -> Refusal:
    """The refusal that a peer answered with, with its status, reason, sentence and metadata.

    It is an instance of the class of its status (ResourceExhausted, ...), its `reason` the peer's.
    What a peer did not mean for a caller (INTERNAL, no answer) becomes Unavailable.
    """
    raise NotImplementedError
