"""Passages in Postgres with pgvector: shared by every process that reaches the database."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from .. import canonical
from ..errors import ArtifactMismatch, DataError, UsageError
from ..programs.embedding import Embedder
from .passages import Passage, at_least_one
from .pool import Pool
from .rows import unit_rows
from .table import last_of_each
from .where import Where, checked_where

__all__ = ["PgVectorIndex"]

_NAME = re.compile(r"[a-z_][a-z0-9_]{0,40}")
_WIDEST = 2000  # numbers of a `vector` under HNSW; a `halfvec` has up to twice as many
_BATCH = 500  # passages of one statement
# Names are looked up in pg_class itself: `to_regclass` alone may answer from what it once knew.
_LOOK = (
    "select obj_description(oid, 'pg_class') from pg_class "
    "where relname = %s and relnamespace = coalesce((select relnamespace from pg_class "
    "where oid = to_regclass(%s)), current_schema()::regnamespace)"
)
_COLUMNS = "id, text, metadata, document, starts, ends"


class PgVectorIndex:
    """Passages by the cosine of their vectors with the query's, in a table with an HNSW index.

    The table is made at the first use, if it is not there, with an index for conditions on the
    metadata; it remembers its embedder and refuses another one. The database needs the extension
    `vector` 0.8 or newer (made too, where the user may). Vectors above 2,000 numbers are kept in
    half precision (up to 4,000). Conditions are looked at while the graph is walked, so a
    condition that few passages fit still finds them.

    `url` is a connection string of libpq (a password may come from its `PGPASSWORD` or password
    file); each wait, for a connection or an answer, is `patience` seconds at most, and errors of
    psycopg pass through. In tasks a thread waits. Safe under threads and forks; at most
    `connections` at once. `close` ends idle connections.

    Raises:
        UsageError: a table name that is not plain, a width that cannot be indexed.
        MissingExtra: psycopg is not installed.
        ArtifactMismatch: the table holds vectors of another embedder.
    """

    def __init__(
        self,
        url: str,
        table: str,
        embedder: Embedder,
        *,
        effort: int = 100,
        patience: float = 10.0,
        connections: int = 8,
    ) -> None:
        if not _NAME.fullmatch(table):
            raise UsageError(
                f"{table!r} is no name for a table here: up to 40 of a-z, 0-9 and _, and no digit "
                "at first"
            )
        if not 1 <= effort <= 1000:
            raise UsageError(f"an effort of {effort}: pgvector takes 1 to 1000")
        self.table, self.embedder, self.effort = table, embedder, effort
        self._pool = Pool(url, size=connections, patience=patience)
        self._threads = ThreadPoolExecutor(connections, thread_name_prefix="compilm-pgvector")
        self._kind = ""  # of the column, when it is known: "vector(384)"

    def __deepcopy__(self, memo: dict[int, Any]) -> PgVectorIndex:
        return self  # copies of a program search the same passages

    def __len__(self) -> int:
        with self._pool.connection() as connection:
            if not self._found(connection):
                return 0
            return int(connection.execute(f"select count(*) from {self.table}").fetchone()[0])

    def add(self, passages: Iterable[Passage]) -> None:
        """Put them in, all or none; one whose id is there already takes the other's place."""
        fresh = last_of_each(passages)
        if not fresh:
            return
        for each in fresh:
            _storable(each)
        texts = [each.text for each in fresh]
        rows = unit_rows(self.embedder.embed(texts), len(texts), zeros=True)
        with self._pool.connection() as connection:
            kind = self._found(connection) or self._made(connection, rows.shape[1])
            for start in range(0, len(fresh), _BATCH):
                values = [
                    _row(each, row)
                    for each, row in zip(fresh[start : start + _BATCH], rows[start:])
                ]
                with connection.cursor() as cursor:
                    cursor.executemany(self._insert(kind), values)

    def delete(self, ids: Iterable[str]) -> int:
        """Take these out; how many there were."""
        with self._pool.connection() as connection:
            if not self._found(connection):
                return 0
            gone = connection.execute(
                f"delete from {self.table} where id = any(%s)",
                [[one for one in ids if _can_stand(one)]],
            )
            return int(gone.rowcount)

    def search(self, query: str, k: int = 5, where: Where | None = None) -> list[Passage]:
        """The passages whose vectors are nearest; none where the embedder sees nothing in it."""
        at_least_one(k)
        return self._near(self.embedder.embed([query]), k, where) if query.strip() else []

    async def asearch(self, query: str, k: int = 5, where: Where | None = None) -> list[Passage]:
        """As `search`, in a task."""
        at_least_one(k)
        if not query.strip():
            return []
        vectors = await self.embedder.aembed([query])
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._near, vectors, k, where)

    def close(self) -> None:
        """Close idle connections."""
        self._pool.close()

    def _near(self, vectors: Any, k: int, where: Where | None) -> list[Passage]:
        row = unit_rows(vectors, 1, zeros=True)[0]
        conditions, values = _conditions(where)
        with self._pool.connection() as connection:
            kind = self._found(connection)
            if not kind or not row.any():
                return []
            for name, value in (("iterative_scan", "strict_order"), ("ef_search", self.effort)):
                connection.execute(f"set local hnsw.{name} = {value}")
            asked = f"%(row)s::{kind}"
            found = connection.execute(
                f"select {_COLUMNS}, 1 - (vector <=> {asked}) from {self.table} {conditions} "
                f"order by vector <=> {asked} limit %(k)s",
                {"row": _text(row), "k": k, **values},
            ).fetchall()
        return [
            Passage(id, text, metadata, document, start, end, float(score))
            for id, text, metadata, document, start, end, score in found
        ]

    def _found(self, connection: Any) -> str:
        """The type of the column with the vectors; empty where there is no table yet."""
        if not self._kind:
            found = connection.execute(_LOOK, [self.table, self.table]).fetchone()
            if found is not None:
                self._kind = self._told(found[0])
        return self._kind

    def _told(self, comment: str | None) -> str:
        try:
            told = json.loads(comment or "")
            kind, embedder = str(told["kind"]), told["embedder"]
        except (ValueError, KeyError, TypeError):
            raise ArtifactMismatch(
                f"table {self.table!r} was not made by compilm: give another name"
            ) from None
        if embedder != self.embedder.name or not re.fullmatch(r"(vector|halfvec)\(\d+\)", kind):
            raise ArtifactMismatch(
                f"table {self.table!r} was filled with the embedder {embedder!r}, and "
                f"{self.embedder.name!r} was given: vectors of two embedders cannot be compared. "
                "Give that one, or another table"
            )
        return kind

    def _made(self, connection: Any, width: int) -> str:
        if width > 2 * _WIDEST:
            raise UsageError(
                f"embedder {self.embedder.name!r} gives {width} numbers, and pgvector indexes "
                f"{2 * _WIDEST} at most: take a narrower one"
            )
        kind = "vector" if width <= _WIDEST else "halfvec"
        # Two who come at once: the second waits here, and finds the table.
        connection.execute("select pg_advisory_xact_lock(hashtext(%s))", [self.table])
        if connection.execute(_LOOK, [self.table, self.table]).fetchone() is None:
            about = canonical.dumps({"embedder": self.embedder.name, "kind": f"{kind}({width})"})
            for statement in self._statements(kind, width):
                connection.execute(statement)
            quoted = about.replace("'", "''").replace("%", "%%")
            connection.execute(f"comment on table {self.table} is '{quoted}'")
        return self._found(connection)

    def _statements(self, kind: str, width: int) -> tuple[str, ...]:
        table = self.table
        return (
            "create extension if not exists vector",
            f"create table {table} (id text primary key, text text not null, "
            "metadata jsonb not null, document text not null, starts int not null, "
            f"ends int not null, vector {kind}({width}) not null)",
            f"create index {table}_vector on {table} using hnsw (vector {kind}_cosine_ops)",
            f"create index {table}_metadata on {table} using gin (metadata jsonb_path_ops)",
        )

    def _insert(self, kind: str) -> str:
        names = [*_COLUMNS.split(", "), "vector"]
        taken = ", ".join(f"{name} = excluded.{name}" for name in names[1:])
        return (
            f"insert into {self.table} ({', '.join(names)}) "
            f"values (%s, %s, %s::jsonb, %s, %s, %s, %s::{kind}) "
            f"on conflict (id) do update set {taken}"
        )


def _storable(passage: Passage) -> None:
    """Raise `DataError` for a text that Postgres has no form for."""
    for name in ("id", "text", "document", "metadata"):
        text = getattr(passage, name)
        if name == "metadata":
            text = "".join(_strings(text))
        if not _can_stand(text):
            raise DataError(
                f"passage {passage.id!r} holds a zero byte or half a character, which Postgres "
                "cannot keep: take it out",
                field=name,
            )


def _can_stand(text: str) -> bool:
    """Whether Postgres has a form for the text: what it has none for is in no table."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text


def _strings(value: Any) -> Iterator[str]:
    """Every text in metadata, keys too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for pair in value.items():
            yield from _strings(pair)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _strings(each)


def _row(passage: Passage, vector: Any) -> tuple[Any, ...]:
    metadata = canonical.dumps(canonical.plain(dict(passage.metadata)))
    place = passage.document, passage.start, passage.end
    return passage.id, passage.text, metadata, *place, _text(vector)


def _text(vector: Any) -> str:
    return "[" + ",".join(f"{number:.7g}" for number in vector.tolist()) + "]"


def _conditions(where: Where | None) -> tuple[str, dict[str, str]]:
    """The conditions as SQL whose values stand apart."""
    clauses: list[str] = []
    values: dict[str, str] = {}
    for key, choices in checked_where(where).items():
        either: list[str] = []
        for one in choices:
            if not _can_stand(f"{key}{one}"):
                continue
            name = f"w{len(values)}"
            values[name] = canonical.dumps({key: one})
            either.append(f"metadata @> %({name})s::jsonb")
        clauses.append(f"({' or '.join(either) or 'false'})")
    return ("where " + " and ".join(clauses) if clauses else ""), values
