"""Generate gen/ from proto/: one protoc call makes everything, always the same bytes.

Usage: python -m tools.proto          write gen/
       python -m tools.proto --check  fail if gen/ is not what proto/ says
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from protobuf.wkt import FileDescriptorSet
from protovalidate._gen.buf.validate import validate_pb  # private: the version is pinned

ROOT = Path(__file__).resolve().parent.parent
PROTO = ROOT / "proto"
GEN = ROOT / "gen"
DESCRIPTOR_SET = "crafiq.binpb"
# Rich errors travel as Any: the gateway prints them only if it knows their types.
ERROR_TYPES = ["google/rpc/error_details.proto", "google/rpc/status.proto"]
VALIDATE = "buf/validate/validate.proto"


def _package_folder(module: str, up: int) -> Path:
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        raise SystemExit(f"{module} is not installed: run `make setup`.")
    return Path(spec.origin).parents[up]


def _validate_descriptor() -> bytes:
    """`buf/validate/validate.proto` as the installed protovalidate has it, as a descriptor set.

    It stands in a private module of that package, whose version is pinned; should it move, the
    import of this file fails and says so.
    """
    return FileDescriptorSet(file=[validate_pb.desc().proto]).to_binary()


def generate(out: Path) -> None:
    """Write Python code, its types and the descriptor set `crafiq.binpb` into `out`."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    with tempfile.NamedTemporaryFile(suffix=".binpb") as validate:
        validate.write(_validate_descriptor())
        validate.flush()
        # protoc finds its plugins on the path.
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        subprocess.run(_protoc(out, validate.name), check=True, cwd=PROTO, env={**os.environ, "PATH": path})
    # googleapis-common-protos and grpcio-status own these modules.
    shutil.rmtree(out / "google", ignore_errors=True)
    for folder in {p.parent for p in out.rglob("*_pb2.py")}:
        for package in [folder, *folder.parents]:
            if package == out:
                break
            (package / "__init__.py").touch()


def _protoc(out: Path, validate: str) -> list[str]:
    ours = sorted(str(p.relative_to(PROTO)) for p in PROTO.rglob("*.proto"))
    return [
        *(sys.executable, "-m", "grpc_tools.protoc"),
        f"-I{PROTO}",
        f"-I{_package_folder('google.api.annotations_pb2', 2)}",
        f"-I{_package_folder('grpc_tools', 0) / '_proto'}",
        f"--descriptor_set_in={validate}",
        f"--python_out={out}",
        f"--mypy_out=quiet:{out}",
        f"--grpc_python_out={out}",
        f"--mypy_grpc_out=quiet:{out}",
        "--include_imports",
        "--include_source_info",
        f"--descriptor_set_out={out / DESCRIPTOR_SET}",
        *(*ours, VALIDATE, *ERROR_TYPES),
    ]


def _contents(folder: Path) -> dict[str, bytes]:
    files = (p for p in folder.rglob("*") if p.is_file() and p.suffix != ".pyc")
    return {str(p.relative_to(folder)): p.read_bytes() for p in files}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--check", action="store_true")
    if not parser.parse_args().check:
        generate(GEN)
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        generate(Path(scratch) / "gen")
        fresh, committed = _contents(Path(scratch) / "gen"), _contents(GEN)
    stale = sorted(k for k in fresh.keys() | committed.keys() if fresh.get(k) != committed.get(k))
    for name in stale:
        print(f"gen/{name} is not what proto/ says: run `make proto` and commit it.")
    return 1 if stale else 0


if __name__ == "__main__":
    raise SystemExit(main())
