"""Write the public document, or check it.

Usage: python -m tools.openapi          write deploy/gateway/openapi.json
       python -m tools.openapi --check  fail if it is not what the protos say
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tools.openapi import document, rendered

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "deploy" / "gateway" / "openapi.json"
DESCRIPTOR_SET = ROOT / "gen" / "crafiq.binpb"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    text = rendered(document(DESCRIPTOR_SET.read_bytes()))
    if not check:
        DOCUMENT.write_text(text, encoding="utf-8")
        return 0
    if not DOCUMENT.exists() or DOCUMENT.read_text(encoding="utf-8") != text:
        print("deploy/gateway/openapi.json is not what the protos say: run `make proto`.")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
