"""Write the gateway's route table, or check it and the configuration.

Usage: python -m tools.gateway          write deploy/gateway/routes.json
       python -m tools.gateway --check  fail if it is not what the protos say, or Envoy refuses the rest
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tools.gateway.surface import outside, parse
from tools.gateway.table import rendered
from tools.gateway.trial import faults

ROOT = Path(__file__).resolve().parents[2]
TABLE = ROOT / "deploy" / "gateway" / "routes.json"
DESCRIPTOR_SET = ROOT / "gen" / "crafiq.binpb"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    descriptor_set = DESCRIPTOR_SET.read_bytes()
    table = rendered(outside(parse(descriptor_set)))
    if not check:
        TABLE.parent.mkdir(parents=True, exist_ok=True)
        TABLE.write_text(table, encoding="utf-8")
        return 0
    stale = not TABLE.exists() or TABLE.read_text(encoding="utf-8") != table
    if stale:
        print("deploy/gateway/routes.json is not what the protos say: run `make proto`.")
    complaint = faults(descriptor_set)
    if complaint:
        print(f"Envoy refuses the gateway's configuration: {complaint}")
    return 1 if stale or complaint else 0


if __name__ == "__main__":
    raise SystemExit(main())
