"""The demo's report: one HTML page without scripts or outside references, beside its pictures."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from pathlib import Path

from cli.demo.leaving import FATES, Left
from cli.demo.story import Made, Seen
from cli.progress import Progress

STYLE = (Path(__file__).parent / "report.css").read_text(encoding="utf-8")


def _table(head: list[str], rows: Iterable[list[object]]) -> str:
    def cells(tag: str, values: list[object]) -> str:
        numeric = [' class="n"' if isinstance(v, int) else "" for v in values]
        return "".join(f"<{tag}{n}>{escape(str(v))}</{tag}>" for n, v in zip(numeric, values, strict=True))

    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return f"<table><thead><tr>{cells('th', list(head))}</tr></thead><tbody>{body}</tbody></table>"


def _moment(timestamp: str) -> str:
    return timestamp[:19].replace("T", " ")


def _picture(path: Path, caption: str) -> str:
    name = escape(path.name)
    caption = escape(caption)
    return f'<figure><img src="{name}" alt="{caption}"><figcaption>{caption}</figcaption></figure>'


def _made(made: Made) -> str:
    states = "".join(
        f'<li class="{escape(state)}">{at:.2f} s · {escape(state)}{" · " + escape(note) if note else ""}</li>'
        for at, state, note in made.states
    )
    job = made.generation
    pictures = "".join(_picture(p, f"{p.name} · {p.stat().st_size:,} bytes") for p in made.files)
    return (
        f"<h2>{escape(made.title)}</h2><p class=lead>“{escape(made.prompt)}” · {escape(job['model'])} at "
        f"{escape(job['vendor'])} · {job['quotedCredits']} credits</p>"
        f'<ul class="states">{states}</ul><div class="row">{pictures}</div>'
    )


def _egress(seen: Seen) -> str:
    titles = {vendor["name"]: vendor for vendor in seen.vendors}
    rows: list[list[object]] = []
    for made in seen.made:
        for entry in made.egress:
            vendor = titles.get(entry["vendor"], {})
            rows.append(
                [
                    vendor.get("title", entry["vendor"]),
                    "sandbox on this machine" if entry.get("sandbox") else entry["region"],
                    ", ".join(entry["fields"]),
                    ", ".join(entry["assets"]) or "–",
                    int(entry["sizeBytes"]),
                    _moment(entry["sentTime"]),
                    entry.get("expireTime", "")[:10],
                    entry["outcome"],
                ]
            )
    head = ["Vendor", "Where", "Fields", "Assets", "Bytes", "Sent (UTC)", "Copy ends by", "Outcome"]
    return _table(head, rows)


def _credits(seen: Seen) -> str:
    entries = [
        [
            _moment(e["createTime"]),
            e["kind"],
            e["description"],
            e["availableDelta"],
            e["heldDelta"],
        ]
        for e in reversed(seen.entries)
    ]
    balances = [[when, b["available"], b["held"], b["settled"]] for when, b in seen.balances]
    return (
        _table(["When (UTC)", "Movement", "What", "Available", "Held"], entries)
        + "<br>"
        + _table(["Balance", "Available", "Held", "Settled"], balances)
    )


def _left(left: Left) -> str:
    plan: list[list[object]] = [
        [
            FATES[bucket["fate"]],
            bucket.get("until", "")[:10],
            ", ".join(f"{each['category']} {each['count']}" for each in bucket["counts"]),
            bucket["policyText"] or bucket["ground"],
        ]
        for bucket in left.plan["buckets"]
    ]
    steps: list[list[object]] = [[f"{at:.2f}", who, what] for at, who, what in left.progress]
    holders: list[list[object]] = [
        [
            holder["holder"],
            sum(line["foundBefore"] for line in holder["data"]),
            sum(line["leftNow"] for line in holder["data"]),
            holder["verified"],
        ]
        for holder in left.receipt["holders"]
    ]
    kept: list[list[object]] = [
        [each["category"], each["until"][:10], each["ground"]] for each in left.receipt["retained"]
    ]
    return (
        f"<h2>What deleting would do</h2>{_table(['Fate', 'Until', 'What', 'The policy says'], plan)}"
        f"<h2>The deletion</h2>{_table(['Seconds', 'Holder', 'State'], steps)}"
        f"<h2>The receipt</h2>{_table(['Holder', 'Found before', 'Left now', 'Verified (UTC)'], holders)}"
        f"<br>{_table(['Kept', 'Until', 'Why'], kept)}"
        f"<h2>Afterwards</h2>{_afterwards(left)}"
    )


def _afterwards(left: Left) -> str:
    asked: list[list[object]] = [list(each) for each in left.gone]
    searched: list[list[object]] = [
        [each.what, f"{each.amount:,} {each.unit}", len(each.hits)] for each in left.searched
    ]
    return (
        f"{_table(['Asked for', 'Answer'], asked)}"
        f"<br>{_table(['Searched for what they gave', 'How much', 'Found'], searched)}"
    )


def write(seen: Seen, left: Left, out: Path, progress: Progress) -> Path:
    """Write `report.html` into `out` and answer its path."""
    seconds, timings = progress.seconds, progress.timings
    pictures = sum(len(made.files) for made in seen.made)
    paid = seen.balances[-1][1]["settled"]
    cards = [(pictures, "pictures made"), (paid, "credits paid"), (f"{seconds:.1f} s", "in all"),
             (f"{seen.removed_bytes:,}", "bytes of metadata removed")]  # fmt: skip
    assert seen.cleaned is not None
    page = f"""<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Crafiq: the main job</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style></head><body>
<h1>The main job, on {escape(seen.file.name)}</h1>
<p class="lead">What one new person did through the public API, and what came of it.
Account <code>{escape(seen.account)}</code></p>
<div class="cards">{"".join(f"<div><b>{v}</b>{escape(k)}</div>" for v, k in cards)}</div>
<h2>The upload, as the library has it</h2>
{_picture(seen.cleaned, f"{seen.file.name} without metadata").replace("<figure>", '<figure class="one">')}
{"".join(_made(made) for made in seen.made)}
<h2>Who received what</h2>{_egress(seen)}
<h2>Credits</h2>{_credits(seen)}
{_left(left)}
<h2>Time</h2>{_table(["Step", "Seconds"], [[title, f"{took:.2f}"] for title, took in timings])}
</body></html>"""
    path = out / "report.html"
    path.write_text(page, encoding="utf-8")
    return path
