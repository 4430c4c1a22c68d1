"""Whether bytes are the picture that they are said to be: decoded, whole, off the event loop."""

from __future__ import annotations

import asyncio
import io
import warnings
from concurrent.futures import ThreadPoolExecutor

from PIL import Image

FORMATS = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp"}
SMALLEST_SIDE = 16
LARGEST_SIDE = 8192
LARGEST_PIXELS = 40_000_000


class Pictures:
    """Looks at Outputs in threads of its own; at most `threads` at a time."""

    def __init__(self, threads: int = 2) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="pictures")

    async def type_of(self, content: bytes) -> str | None:
        """The content type of a picture that decodes to its last row; None if it is not one."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, type_of, content)

    def close(self) -> None:
        """Let the threads go."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def type_of(content: bytes) -> str | None:
    """As `Pictures.type_of`, on this thread."""
    with warnings.catch_warnings():
        # A few kilobytes may claim a few gigabytes of pixels: checked before anything is decoded.
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            with Image.open(io.BytesIO(content), formats=tuple(FORMATS)) as picture:
                if not _sane(picture.size):
                    return None
                picture.load()
                return FORMATS[str(picture.format)]
        except Exception:
            return None


def _sane(size: tuple[int, int]) -> bool:
    sides = min(size) >= SMALLEST_SIDE and max(size) <= LARGEST_SIDE
    return sides and size[0] * size[1] <= LARGEST_PIXELS
