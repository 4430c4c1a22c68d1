"""What happens once in containers, around the start of the servers.

Usage: python -m deploy.containers settle   before: certificates, secrets, configurations, in the state folder
       python -m deploy.containers prepare  after: roles and databases, streams, buckets
"""

from __future__ import annotations

import argparse
import asyncio

from deploy.containers import once


def main() -> None:
    """Do what the argument says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("act", choices=("settle", "prepare"))
    if parser.parse_args().act == "settle":
        once.settle()
    else:
        asyncio.run(once.prepare())


if __name__ == "__main__":
    main()
