"""Receipts, signed: JWS in compact serialization (RFC 7515), ES256, with keys from a folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from services.privacy.domain import ReceiptKey

RECEIPT, SUPPLEMENT = "crafiq-erasure-receipt+json", "crafiq-erasure-supplement+json"
"""What `typ` says: neither can be passed off as the other."""


class ReceiptKeys:
    """The folder `<kid>.pem` (EC P-256): the newest file signs, all of them verify, for good."""

    def __init__(self, folder: Path) -> None:
        found = sorted(folder.glob("*.pem"), key=lambda path: (path.stat().st_mtime, path.name))
        if not found:
            raise ValueError(f"There is no signing key in {folder}: put an EC P-256 key there as <kid>.pem.")
        self._keys = [(_read(path), datetime.fromtimestamp(path.stat().st_mtime, UTC)) for path in found]

    @property
    def public(self) -> list[ReceiptKey]:
        """What verifies."""
        return [
            ReceiptKey(kid=key.kid or "", jwk=key.as_dict(private=False), since=since)
            for key, since in self._keys
        ]

    def sign(self, kind: str, said: Mapping[str, Any]) -> str:
        """The JWS of a receipt (`kind` is RECEIPT) or of a supplement."""
        key, _ = self._keys[-1]
        header = {"alg": "ES256", "kid": key.kid, "typ": kind, "cty": "json"}
        body = json.dumps(said, separators=(",", ":"), sort_keys=True)
        return jws.serialize_compact(header, body, key, algorithms=["ES256"])


def _read(path: Path) -> ECKey:
    try:
        key = ECKey.import_key(path.read_bytes(), {"kid": path.stem, "use": "sig", "alg": "ES256"})
    except JoseError as error:
        raise ValueError(f"{path.name} is not an EC key") from error
    if key.curve_name != "P-256":
        raise ValueError(f"{path.name} is not on the curve P-256, which ES256 signs with")
    return key
