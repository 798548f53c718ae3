"""Whom data is about: a tenant or a user, and how to tell in what is stored that it is theirs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from agent_analytics import validate
from agent_analytics.errors import AnalyticsError
from agent_analytics.hashing import hash_key, keyed_hash
from agent_analytics.storage import Storage

Kind = Literal["tenant", "user"]

ERASED = "[erased]"
ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)


@dataclass(frozen=True)
class Subject:
    """A tenant or a user. `id` is in the clear; `hash` is its keyed hash, which stands for a user in the lake."""

    kind: Kind
    id: str
    hash: str

    @classmethod
    def of(cls, storage: Storage, kind: Kind, identifier: str) -> Subject:
        """Whom an id means that somebody has typed. Raises AnalyticsError for an empty one, which is in every text."""
        if not identifier.strip():
            raise AnalyticsError(f"the {kind}'s id is empty: name it as producers send it")
        return cls(kind, identifier, keyed_hash(hash_key(storage)[0], identifier))

    @property
    def name(self) -> str:
        """What may be written down about the subject."""
        return f"{self.kind} {self.hash}"

    @property
    def column(self) -> str:
        return f"{self.kind}_id"

    @property
    def stored(self) -> str:
        """What stands in the lake's column."""
        return self.hash if self.kind == "user" else self.id

    @property
    def words(self) -> tuple[str, ...]:
        """What must not be found anywhere."""
        return (self.id, self.hash) if self.kind == "user" else (self.id,)

    @property
    def condition(self) -> str:
        """SQL: whether a row of the lake is the subject's; never NULL."""
        return f"{validate.name(self.column)} is not distinct from {validate.text(self.stored)}"

    def owns(self, event: dict[str, Any]) -> bool:
        """Whether an event as it landed is the subject's."""
        return event.get(self.column) is not None and str(event[self.column]) == self.id

    def mentions(self, text: str) -> bool:
        """Whether the id, or for a user its hash, stands in a text as a word of its own, with JSON's escapes or not."""
        return bool(self._pattern.search(text) or ("\\" in text and self._pattern.search(ESCAPE.sub(_unescaped, text))))

    def scrubbed(self, text: str) -> str:
        """The text with something else in its place."""
        return self._pattern.sub(ERASED, text)

    def renamed(self, path: str) -> str:
        """The path of a file, or one that doesn't name the subject: always the same for the same path."""
        token = "erased-" + keyed_hash(self.hash.encode(), path)[:12]
        return self._in_path.sub(token, path)

    def only_in_the_clear(self) -> Subject:
        """The same subject, whose hash may be found: for the audit trail."""
        return Subject("tenant", self.id, self.hash)

    @cached_property
    def _in_path(self) -> re.Pattern[str]:
        # File names join words by hyphens and underscores.
        return re.compile(rf"(?<![^\W_])(?:{'|'.join(map(re.escape, self.words))})(?![^\W_])")

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile(rf"(?<![\w-])(?:{'|'.join(map(re.escape, self.words))})(?![\w-])")


def _unescaped(found: re.Match[str]) -> str:
    return chr(int(found[1], 16)) if found[1] else found[2]
