"""Every no of this service, and what the person can do about it."""

from __future__ import annotations

from collections.abc import Callable

from chassis.errors import (
    Aborted,
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    Refusal,
    ResourceExhausted,
    Unavailable,
)


class ContentDamaged(InvalidArgument):
    """The bytes begin like their type and do not go on like it."""

    sentence = "The file can't be taken: {problem}. Export it again and upload the new file."


class ContentUnsupported(InvalidArgument):
    """A lawful file of its type, in a variant that is not taken."""

    sentence = "The file can't be taken: {problem}. Export it another way and upload the new file."


class ContentTooLarge(InvalidArgument):
    """More bytes than are taken of this kind."""

    sentence = "This is larger than {content_type} may be: at most {limit} bytes. Make it smaller."


class PictureTooLarge(InvalidArgument):
    """More pixels than are decoded."""

    sentence = "The picture claims {pixels} pixels; at most {limit} are taken. Scale it down."


class ContentTypeUnsupported(InvalidArgument):
    """A type that the library does not keep."""

    sentence = "Files of type {content_type} are not taken. Taken are: {taken}."


class ContentTypeMismatch(InvalidArgument):
    """The bytes are something else than was declared."""

    sentence = "This was declared as {declared} and is {found}. Upload it again under its own type."


class ContentChanged(InvalidArgument):
    """Not the bytes that were declared."""

    sentence = "The bytes are not those that were declared: {what} differs. Send them again."


class UploadNotFound(NotFound):
    """Not there, not any more, or another person's."""

    sentence = "There is no upload {upload} of yours, or not any more; open one with POST /v1/uploads."


class UploadNotFinished(FailedPrecondition):
    """Completed before the bytes came."""

    sentence = "The bytes of {upload} have not arrived: PUT them to its `url` with all its `headers` first."


class UploadExpired(FailedPrecondition):
    """The request id is of an upload whose time is over."""

    sentence = "This upload has ended; open another with POST /v1/uploads and a new requestId."


class UploadsTooMany(ResourceExhausted):
    """Many uploads are open."""

    sentence = "You have {limit} uploads open: complete them, or wait until they end by themselves."


class AssetNotFound(NotFound):
    """Not there, or another person's."""

    sentence = "There is no asset {asset} in your library; GET /v1/assets lists what there is."


class EtagMismatch(Aborted):
    """Somebody else was faster."""

    sentence = "{asset} changed in between; read it again and send its new etag."


class PackNotFound(NotFound):
    """Not there, or another person's."""

    sentence = "There is no pack {pack} of yours; GET /v1/packs lists what there is."


class PackChanged(Aborted):
    """Somebody else was faster."""

    sentence = "{pack} changed in between; read it again and send its new etag."


class PackOrderIncomplete(FailedPrecondition):
    """Not the assets that are in the pack."""

    sentence = "An order names every asset of {pack} once and nothing else; read it again, then order it."


class PackTooLargeToPublish(ResourceExhausted):
    """More than becomes public in one act."""

    sentence = "At most {limit} assets become public in one act; publish some of them one by one first."


class PackFull(ResourceExhausted):
    """As much as a pack holds."""

    sentence = "A pack holds at most {limit} assets: put the others into another one."


class PacksTooMany(ResourceExhausted):
    """As many as a person may have."""

    sentence = "You have {limit} packs, and more are not kept: delete one first."


class ConfirmationNeeded(FailedPrecondition):
    """What can't be undone was asked for without saying that it is meant."""

    sentence = (
        "This makes {what} public under the licence of {licence} for good: the public copy stays when the "
        "asset or your account is deleted. Send `confirm: true` if you mean it."
    )


class PublicationNotFound(NotFound):
    """Not there, not any more, or not the caller's to change."""

    sentence = "There is no publication {publication} here; GET /v1/publications lists what there is."


class AlreadyPublic(AlreadyExists):
    """One asset, one publication."""

    sentence = "{asset} is public already, as {publication}."


class TitleNotAllowed(InvalidArgument):
    """A title that could deceive, or that is none."""

    sentence = "This can't be a title: {problem}."


class UpdateMaskInvalid(InvalidArgument):
    """The mask names what can't be changed."""

    sentence = "`updateMask` names `{path}`, which can't be changed."


class OutputIncomplete(InvalidArgument):
    """The stream is not a header and then its bytes."""

    sentence = "Send the header first and then all bytes it announces: {problem}."


class LibraryBusy(Unavailable):
    """More bytes are being looked at than memory allows."""

    sentence = "Many files are coming in right now; ask again in a few seconds."


_REMEMBERED = (
    ContentDamaged, ContentUnsupported, ContentTooLarge, PictureTooLarge, ContentTypeMismatch, ContentChanged,
)  # fmt: skip
_BY_REASON: dict[str, type[Refusal]] = {kind.reason: kind for kind in _REMEMBERED}


def remembered(refusal: Refusal) -> dict[str, str] | None:
    """What has to be kept of a refusal to give it again; None if asking again could end otherwise."""
    if refusal.reason not in _BY_REASON:
        return None
    return {"reason": refusal.reason, **refusal.metadata}


def again(kept: dict[str, str]) -> Refusal:
    """The refusal of which `remembered` kept this."""
    metadata = {key: value for key, value in kept.items() if key != "reason"}
    kind: Callable[..., Refusal] = _BY_REASON[kept["reason"]]
    return kind(**metadata)
