"""What billing says no to, and why."""

from __future__ import annotations

from uuid import UUID

from chassis.errors import AlreadyExists, FailedPrecondition, InvalidArgument


class InsufficientCredits(FailedPrecondition):
    """The person has less than the order can cost."""

    sentence = (
        "This needs {needed} credits and {available} are available: ask for fewer Outputs or a cheaper model"
        " (GET /v1/models), or wait until jobs under way give back what they don't use."
    )


class HoldMismatch(AlreadyExists):
    """The generation has a hold already, over another amount or of somebody else."""

    sentence = "generations/{generation} has another hold already: order again under a new id."


class HoldReleased(FailedPrecondition):
    """The hold was given back, perhaps before it was placed."""

    sentence = "The hold for generations/{generation} was given back: order again under a new id."


class HoldCaptured(FailedPrecondition):
    """What is charged is not given back by a release."""

    sentence = "The hold for generations/{generation} was captured: what was delivered is charged."


class HoldUnknown(FailedPrecondition):
    """Something was delivered for which nothing was ever held."""

    sentence = "There is no hold for generations/{generation}: place one before the work begins."


class NameInvalid(InvalidArgument):
    """A resource name that can't be one."""

    sentence = "`{field}` must be {collection}/ and a UUID."


def id_of(name: str, collection: str, field: str) -> UUID:
    """The id in a resource name such as `generations/{uuid}` (AIP-122).

    Raises NameInvalid, which names `field` as the client spells it.
    """
    prefix, _, last = name.partition("/")
    try:
        found = UUID(last)
    except ValueError:
        found = None
    if prefix != collection or found is None or str(found) != last:
        violations = [(field, f"must be {collection}/ and a UUID in lower case")]
        raise NameInvalid(field=field, collection=collection, violations=violations)
    return found
