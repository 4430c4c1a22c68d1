"""Where a call came from, as much of it as may be kept: network address and coarse device."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address, ip_network

# The first that occurs wins, so the more special stand first: Edge and Opera call themselves
# Chrome, Chrome calls itself Safari, Android calls itself Linux.
_BROWSERS = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser", "Samsung Internet"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
    ("curl/", "curl"),
    ("python", "a Python program"),
    ("aiohttp", "a Python program"),
)
_SYSTEMS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("CrOS", "ChromeOS"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
)
UNKNOWN = "an unknown device"


def coarse(user_agent: str) -> str:
    """One of a small fixed set of texts, such as "Firefox on Linux"; never a part of the user agent."""
    browser = _first(_BROWSERS, user_agent)
    system = _first(_SYSTEMS, user_agent)
    if browser and system:
        return f"{browser} on {system}"
    return browser or system or UNKNOWN


def _first(known: tuple[tuple[str, str], ...], user_agent: str) -> str:
    return next((name for mark, name in known if mark.lower() in user_agent.lower()), "")


def network_address(text: str) -> str:
    """An address as PostgreSQL's inet reads it; empty for anything else, such as a zone or a host name."""
    try:
        address = ip_address(text.strip().partition("%")[0])
    except ValueError:
        return ""
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(address)


def network(text: str) -> str:
    """The network of an address, /24 or /48: what one party can be expected to have; empty for no address."""
    address = network_address(text)
    return str(ip_network((address, 48 if ":" in address else 24), strict=False)) if address else ""
