"""The keyed hash of user_id: HMAC-SHA-256, in Python for single lines and in SQL for columns."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from agent_analytics import durable
from agent_analytics.errors import AnalyticsError
from agent_analytics.ledger import Ledger
from agent_analytics.storage import Storage

BLOCK = 64
ANOTHER_KEY = (
    "users here are hashed with another key: set ANALYTICS_HASH_KEY to the key that the events were ingested with"
    " (lake/_loads/.key_check tells it)"
)


def development_key_path(storage: Storage) -> Path:
    """Where the key lies that is used when ANALYTICS_HASH_KEY is unset."""
    return storage.root / ".hash_key"


def key_check_path(storage: Storage) -> Path:
    """Where it is kept what tells the key of the loads from another, without telling the key."""
    return storage.loads / ".key_check"


def hash_key(storage: Storage) -> tuple[bytes, str | None]:
    """The secret, and a warning when it is only the development key, which is made at the first use (mode 0600).

    Raises AnalyticsError when the users of the loads are hashed with another key.
    """
    path = development_key_path(storage)
    if named := os.environ.get("ANALYTICS_HASH_KEY"):
        key, warning = named.encode("utf-8"), None
    else:
        if not path.exists():
            if Ledger(storage).last_load_id():
                raise AnalyticsError(ANOTHER_KEY)
            _make_key(path)
        key = path.read_bytes().strip()
        warning = f"ANALYTICS_HASH_KEY is unset: user_id is hashed with the development key {path}"
    if _is_another(storage, key):
        raise AnalyticsError(ANOTHER_KEY)
    return key, warning


def key_check(storage: Storage) -> str | None:
    """What tells the key of the loads from another; None before the first load."""
    path = key_check_path(storage)
    return path.read_text(encoding="utf-8") if path.exists() else None


def check_of(key: bytes) -> str:
    """What tells a key from another without telling the key; a backup's record has it too."""
    return keyed_hash(key, "backup.json")


def settle_key(storage: Storage, key: bytes) -> None:
    """Keep what tells the key from another: nothing but the commit of a load does, under its lock.

    Until there is a load any key may come. Raises AnalyticsError when the users of the loads are hashed with another.
    """
    if _is_another(storage, key):
        raise AnalyticsError(ANOTHER_KEY)
    if key_check(storage) != check_of(key):
        durable.write_text(key_check_path(storage), check_of(key))


def _is_another(storage: Storage, key: bytes) -> bool:
    """Whether there are loads whose users are hashed with another key; before the first load any key may come."""
    check = key_check(storage)
    is_same = check is None or hmac.compare_digest(check, check_of(key))
    return not is_same and Ledger(storage).last_load_id() > 0


def _make_key(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as handle:
        handle.write(secrets.token_hex(32).encode() + b"\n")
        handle.flush()
        os.fsync(handle.fileno())
    durable.point(f"link:{path.name}")
    try:
        # A link, not a rename: of two processes that make a key at once, the first one's must stay.
        os.link(part, path)
    except FileExistsError:
        pass
    finally:
        part.unlink()
    durable.sync(path.parent)


def keyed_hash(key: bytes, value: str) -> str:
    """HMAC-SHA-256 (RFC 2104) of the text's UTF-8, in hex."""
    return hmac.new(key, value.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


def pads(key: bytes) -> tuple[bytes, bytes]:
    """RFC 2104's inner and outer pad for the key, which `keyed_hash_sql` takes as hex."""
    block = (hashlib.sha256(key).digest() if len(key) > BLOCK else key).ljust(BLOCK, b"\0")
    return bytes(byte ^ 0x36 for byte in block), bytes(byte ^ 0x5C for byte in block)


def keyed_hash_sql(column: str) -> str:
    """SQL for the keyed hash of a VARCHAR column; the columns _inner and _outer hold the pads in hex."""
    return f"sha256(unhex(_outer) || unhex(sha256(unhex(_inner) || encode({column}))))"
