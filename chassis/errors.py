"""One tree of refusals; one place that turns them into `google.rpc.Status` (AIP-193)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID


class Refusal(Exception):
    """What a caller is told when the answer is no: a reason, and a sentence that says what to do.

    A subclass sets `sentence`, a format string; its variables are the keyword arguments and travel
    as `ErrorInfo.metadata`, so they are never personal values. `reason` is the class's name in
    UPPER_SNAKE. `violations` are pairs of a field (as the client spells it) and a description;
    `retry_after` says when asking again makes sense.
    """

    status = "UNKNOWN"
    sentence = "The request was refused."
    reason = "REFUSAL"
    domain = ""

    def __init__(
        self,
        *,
        violations: Sequence[tuple[str, str]] = (),
        retry_after: timedelta | None = None,
        **metadata: object,
    ) -> None:
        self.metadata = {key: str(value) for key, value in metadata.items()}
        self.violations = tuple(violations)
        self.retry_after = retry_after
        super().__init__(self.sentence.format(**metadata))

    def __init_subclass__(cls) -> None:
        cls.reason = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__).upper()


class InvalidArgument(Refusal):
    """The request is wrong whatever the state of things."""

    status = "INVALID_ARGUMENT"


class Unauthenticated(Refusal):
    """Nobody, or not provably somebody, is calling."""

    status = "UNAUTHENTICATED"


class PermissionDenied(Refusal):
    """The caller is known and may not."""

    status = "PERMISSION_DENIED"


class NotFound(Refusal):
    """There is no such thing, or not for this caller."""

    status = "NOT_FOUND"


class AlreadyExists(Refusal):
    """There is one already."""

    status = "ALREADY_EXISTS"


class FailedPrecondition(Refusal):
    """Not in this state of things; asking again changes nothing."""

    status = "FAILED_PRECONDITION"


class Aborted(Refusal):
    """Somebody else was faster; read again and ask again."""

    status = "ABORTED"


class ResourceExhausted(Refusal):
    """A limit is reached."""

    status = "RESOURCE_EXHAUSTED"


class DeadlineExceeded(Refusal):
    """Not done in time."""

    status = "DEADLINE_EXCEEDED"
    sentence = "This took too long; ask again."


class Unavailable(Refusal):
    """Not now; ask again later."""

    status = "UNAVAILABLE"
    sentence = "This is not available right now; ask again in a moment."


class Unimplemented(Refusal):
    """This is not offered."""

    status = "UNIMPLEMENTED"


class InvalidRequest(InvalidArgument):
    """The request breaks a rule of its proto; `violations` say which."""

    sentence = "Check `{field}`: {rule}."


class SubjectUnknown(Exception):
    """A row was to be written for an account that is not known here: not yet, or no more.

    The RPC wrapper waits for the event that makes it known and runs the handler again.
    """

    def __init__(self, account: UUID | None = None) -> None:
        self.account = account
        super().__init__("the account is not known here")


class AccountErased(FailedPrecondition):
    """The account's tombstone stands."""

    sentence = "This account was deleted; nothing can be added to it."
