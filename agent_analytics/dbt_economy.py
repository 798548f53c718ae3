"""What dbt does over and over in a command, done once or not at all: a quarter of the time of a tick's build.

Nothing here changes what dbt computes. Each of these is a detour around one function of dbt or Jinja, which goes on to
do the work; a version of dbt without that function is refused at once, by the function's name.
"""

from __future__ import annotations

import hashlib
import marshal
import os
import sys
from collections.abc import Iterable
from functools import cache
from importlib.metadata import version
from pathlib import Path
from types import CodeType
from typing import Any


def economise() -> None:
    """Make this process's dbt do so, from now on."""
    _leave_out_debug_events()
    _make_events_when_they_are_read()
    _know_types_of_columns_once()
    _know_the_empty_table_once()
    _find_relations_by_name()


def _leave_out_debug_events() -> None:
    """dbt formats and scrubs every debug event, 50 a model, though nobody listens."""
    from dbt_common.events.base_types import BaseEvent, EventLevel
    from dbt_common.events.event_manager import EventManager
    from dbt_common.events.event_manager_client import ctx_set_event_manager

    class Events(EventManager):  # type: ignore[misc]
        def fire_event(self, e: BaseEvent, level: EventLevel | None = None, *more: Any, **named: Any) -> None:
            if (level or e.level_tag()) != EventLevel.DEBUG or type(e).__name__ == "NodeFinished":
                super().fire_event(e, level, *more, **named)

    ctx_set_event_manager(Events())


@cache
def _make_events_when_they_are_read() -> None:
    """An event turns what it is given into a message of Protocol Buffers, which is read only if somebody listens."""
    from dbt_common.events.base_types import BaseEvent

    make = BaseEvent.__init__

    def keep(self: Any, *args: Any, **named: Any) -> None:
        object.__setattr__(self, "given", (args, named))

    def get(self: Any, name: str) -> Any:
        if name == "pb_msg":
            args, named = object.__getattribute__(self, "given")
            make(self, *args, **named)
            return object.__getattribute__(self, "pb_msg")
        return getattr(self.pb_msg, name)

    def put(self: Any, name: str, value: Any) -> None:
        if name == "pb_msg":
            object.__setattr__(self, name, value)
        else:
            setattr(self.pb_msg, name, value)

    BaseEvent.__init__, BaseEvent.__getattr__, BaseEvent.__setattr__ = keep, get, put


@cache
def _know_types_of_columns_once() -> None:
    """For every result of a query agate builds what tells the types of columns, with a calendar for each of two."""
    from dbt_common.clients import agate_helper

    build = cache(agate_helper.build_type_tester)

    def known(text_columns: Iterable[str], string_null_values: Iterable[str] | None = ("null", "")) -> Any:
        nulls = None if string_null_values is None else tuple(string_null_values)
        return build(tuple(sorted(text_columns)), string_null_values=nulls)

    agate_helper.build_type_tester = known


@cache
def _know_the_empty_table_once() -> None:
    """Every statement that returns nothing returns an empty table, with a guess at the types of its no columns."""
    from dbt_common.clients import agate_helper

    agate_helper.empty_table = cache(agate_helper.empty_table)


@cache
def _find_relations_by_name() -> None:
    """dbt looks a relation up, five times a model, by a look at all relations that it knows."""
    from dbt.adapters.base.impl import BaseAdapter
    from dbt.adapters.reference_keys import _ReferenceKey, lowercase

    look = BaseAdapter.get_relation

    def find(self: Any, database: str, schema: str, identifier: str) -> Any:
        if (database, schema) not in self.cache:
            return look(self, database, schema, identifier)
        key = _ReferenceKey(lowercase(database), lowercase(schema), lowercase(identifier))
        found = self.cache.relations.get(key)
        if found is None or found.inner.matches(**self._make_match_kwargs(database, schema, identifier)):
            return found and found.inner
        return look(self, database, schema, identifier)

    BaseAdapter.get_relation = find


class Templates:
    """The compiled templates of a project: Jinja compiles each macro once a process and each model every time.

    They are kept in a file beside dbt's manifest, for the project (a digest of its files) that they were met in.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._project, self._grown = path, "", False
        self._known: dict[str, CodeType] = {}
        self._install()

    def _install(self) -> None:
        from jinja2 import Environment

        compiled = Environment.compile

        def known(environment: Environment, source: Any, *arguments: Any, **named: Any) -> Any:
            if not self._project or not isinstance(source, str) or arguments or named:
                return compiled(environment, source, *arguments, **named)
            kind = f"{type(environment).__qualname__} {sorted(environment.extensions)}\n"
            key = hashlib.sha256((kind + source).encode("utf-8", "surrogatepass")).hexdigest()
            if key not in self._known:
                self._known[key], self._grown = compiled(environment, source), True
            return self._known[key]

        Environment.compile = known  # type: ignore[method-assign, assignment]

    def load(self, project: str) -> None:
        """Know the templates that were kept of this project, and no others."""
        if project == self._project:
            return
        self._project, self._grown, self._known = project, False, {}
        try:
            head, known = marshal.loads(self._path.read_bytes())
        except (OSError, ValueError, EOFError, TypeError):
            return
        if head == self._head():
            self._known = known

    def keep(self) -> None:
        """Write down those that are new."""
        if self._grown:
            part = self._path.with_suffix(f".{os.getpid()}")
            part.write_bytes(marshal.dumps((self._head(), self._known)))
            part.replace(self._path)
            self._grown = False

    def _head(self) -> tuple[str, ...]:
        return self._project, version("dbt-core"), version("jinja2"), sys.version
