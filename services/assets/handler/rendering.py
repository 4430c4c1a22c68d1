"""Names, and rows as messages."""

from __future__ import annotations

from uuid import UUID

from crafiq.assets.v1 import assets_pb2

from chassis.errors import InvalidRequest, Refusal
from services.assets.adapters.storage import ORIGINAL
from services.assets.domain.library import Asset
from services.assets.domain.packs import Pack
from services.assets.domain.refusals import AssetNotFound, PackNotFound, PublicationNotFound, UploadNotFound
from services.assets.domain.renditions import WEBP, PublicRendition, Rendition
from services.assets.repository import Filled, Shown


def asset_id(name: str) -> UUID:
    """The id in `assets/{uuid}`; raises AssetNotFound: what can't be a name names nothing."""
    return _id(name, "assets/", AssetNotFound(asset=name))


def upload_id(name: str) -> UUID:
    """The id in `uploads/{uuid}`; raises UploadNotFound."""
    return _id(name, "uploads/", UploadNotFound(upload=name))


def pack_id(name: str) -> UUID:
    """The id in `packs/{uuid}`; raises PackNotFound."""
    return _id(name, "packs/", PackNotFound(pack=name))


def publication_id(name: str) -> UUID:
    """The id in `publications/{uuid}`; raises PublicationNotFound."""
    return _id(name, "publications/", PublicationNotFound(publication=name))


def account_id(name: str) -> UUID:
    """The id in `accounts/{uuid}`; raises InvalidRequest: another service's mistake."""
    return _id(name, "accounts/", InvalidRequest(field="account", rule="accounts/{uuid}"))


def generation_id(name: str) -> UUID:
    """The id in `generations/{uuid}`; raises InvalidRequest."""
    return _id(name, "generations/", InvalidRequest(field="generation", rule="generations/{uuid}"))


def _id(name: str, collection: str, otherwise: Refusal) -> UUID:
    text = name.removeprefix(collection)
    try:
        found = UUID(text)
    except ValueError:
        raise otherwise from None
    if str(found) != text:
        raise otherwise
    return found


def asset(row: Asset, *, titled: bool = True) -> assets_pb2.Asset:
    """An asset as its owner sees it; without its title as other services do."""
    message = assets_pb2.Asset(
        name=row.name,
        title=row.title if titled else "",
        kind=assets_pb2.MediaKind.Value(row.kind),
        origin=assets_pb2.Origin.Value(row.origin),
        content_type=row.content_type,
        size_bytes=row.size_bytes,
        sha256=row.sha256,
        width=row.width,
        height=row.height,
        generation=f"generations/{row.generation}" if row.generation else "",
        etag=row.etag,
    )
    message.create_time.FromDatetime(row.created_at)
    return message


def pack(row: Pack, items: int) -> assets_pb2.Pack:
    """A pack without what is in it."""
    message = assets_pb2.Pack(
        name=row.name, title=row.title, asset_count=items, etag=row.etag, public=row.public
    )
    message.create_time.FromDatetime(row.created_at)
    return message


def filled(found: Filled) -> assets_pb2.Pack:
    """A pack with what is in it."""
    message = pack(found.pack, len(found.assets))
    message.assets.extend(f"assets/{asset}" for asset in found.assets)
    return message


def rendition(row: Rendition | PublicRendition, url: str) -> assets_pb2.Rendition:
    """A thumbnail or a poster."""
    return assets_pb2.Rendition(
        kind=row.kind,
        url=url,
        content_type=WEBP.name,
        size_bytes=row.size_bytes,
        width=row.width,
        height=row.height,
    )


def public_url(begins: str, publication: UUID, kind: str) -> str:
    """Where everyone reads a rendition of a public work; `begins` is the address of the gateway."""
    return f"{begins}/public/{publication}/{kind}"


def publication(shown: Shown, begins: str) -> assets_pb2.Publication:
    """A public work as everyone sees it; its URLs begin with `begins`."""
    row = shown.publication
    original = assets_pb2.Rendition(
        kind=ORIGINAL,
        url=public_url(begins, row.id, ORIGINAL),
        content_type=row.content_type,
        size_bytes=row.size_bytes,
        width=row.width,
        height=row.height,
    )
    drawn = shown.renditions
    return assets_pb2.Publication(
        name=row.name,
        kind=assets_pb2.MediaKind.Value(row.kind),
        publish_date=row.published_on.isoformat(),
        sha256=row.sha256,
        licence_version=row.licence_version,
        licence_sha256=row.licence_sha256,
        training_eligible=shown.training_eligible,
        likes=shown.likes,
        views=shown.views,
        renditions=[original, *(rendition(each, public_url(begins, row.id, each.kind)) for each in drawn)],
    )
