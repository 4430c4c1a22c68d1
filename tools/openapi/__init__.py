"""The public document (OpenAPI 3.1), derived from the protos: nothing in it is listed by hand."""

from __future__ import annotations

from tools.openapi.document import document, rendered

__all__ = ["document", "rendered"]
