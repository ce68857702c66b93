"""Addresses of the network: which are safe, how a server is asked for them, how messages show them."""

import re
from base64 import b64encode
from urllib.parse import quote, unquote_to_bytes, urlsplit, urlunsplit

THIS_MACHINE = ("127.0.0.1", "localhost")
KEPT = "%/:@!$&'()*+,;="  # besides letters, digits and _.-~, what a path holds as it is
SHOWN = 200  # characters
HOST = r"|([a-z0-9_-]+\.)*[a-z0-9_-]+\.?|[0-9a-f:.]+"  # none, a name, an address of version 6


def is_safe(url: str) -> bool:
    """Whether nobody between can change what an address serves: https, or this machine."""
    try:
        parts = urlsplit(url)
        encoded(url)
    except ValueError:
        return False
    return (parts.scheme == "https" and bool(parts.hostname)) or (
        parts.scheme == "http" and parts.hostname in THIS_MACHINE
    )


def encoded(url: str) -> str:
    """The address that a server is asked for: in ASCII, without credentials and fragment.

    What is percent-encoded already stays so. Raises `ValueError` where it is no address.
    """
    if re.search(r"[\x00-\x1f\x7f-\x9f]", url):
        raise ValueError("an address with control characters")
    parts = urlsplit(url)
    host = parts.hostname or ""
    host = host if host.isascii() else host.encode("idna").decode("ascii")
    if not re.fullmatch(HOST, host):
        raise ValueError(f"a host named {host!r}")
    if ":" in host:  # IPv6
        host = f"[{host}]"
    place = host if parts.port is None else f"{host}:{parts.port}"
    path, query = quote(parts.path, safe=KEPT), quote(parts.query, safe=f"{KEPT}?")
    return urlunsplit((parts.scheme, place, path or "/", query, ""))


def credentials(url: str) -> str | None:
    """The header `Authorization` for an address with a user, and maybe a password; None: without."""
    user, at, _ = urlsplit(url).netloc.rpartition("@")
    if not at:
        return None
    pair = user if ":" in user else f"{user}:"
    return f"Basic {b64encode(unquote_to_bytes(pair)).decode('ascii')}"


def shown(url: str) -> str:
    """An address for messages and notes: without user, password, query and fragment, where passwords and
    tokens stand, and without what would steer a terminal."""
    public = re.sub(r"^([^/?#]*//)[^/]*@", r"\1", url)
    bare = re.split(r"[?#;]", public, maxsplit=1)[0]
    text = "".join(c if c.isprintable() else "?" for c in bare)
    if bare != public:
        text += "?..."
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
