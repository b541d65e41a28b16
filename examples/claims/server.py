"""The claims database behind MCP: one tool, `lookup_claim`, over SQLite or Postgres.

python server.py --database build/claims.sqlite     # made of data/claims.jsonl if it is not there
python server.py --database postgresql://localhost/claims
"""

from __future__ import annotations

import argparse
import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mcp.server.mcpserver import MCPServer

CLAIMS = Path(__file__).with_name("data") / "claims.jsonl"
POSTGRES = "postgresql://"
COLUMNS = (
    "claim_number",
    "provider",
    "member_ref",
    "service_date",
    "billed",
    "status",
    "denial_code",
    "denial_reason",
    "paid_amount",
    "paid_date",
    "payment_ref",
    "appeal",
)


def key(claim_number: str) -> str:
    """A claim number without case, dashes and spaces, as the table finds it."""
    return re.sub(r"[^A-Z0-9]", "", claim_number.upper())


def fill(database: str, claims: Path = CLAIMS) -> None:
    """Make the table of claims, if this database has none."""
    rows = [json.loads(line) for line in claims.read_text(encoding="utf-8").splitlines()]
    mark = "%s" if database.startswith(POSTGRES) else "?"
    columns = ", ".join(f"{name} TEXT NOT NULL" for name in COLUMNS)
    marks = ", ".join([mark] * (len(COLUMNS) + 1))
    if not database.startswith(POSTGRES):
        Path(database).parent.mkdir(parents=True, exist_ok=True)
    with opened(database, makes=True) as connection:
        cursor = connection.cursor()
        cursor.execute(f"CREATE TABLE IF NOT EXISTS claims (key TEXT PRIMARY KEY, {columns})")
        cursor.executemany(
            f"INSERT INTO claims VALUES ({marks}) ON CONFLICT DO NOTHING",
            [(key(row["claim_number"]), *(row[name] for name in COLUMNS)) for row in rows],
        )
        connection.commit()


@contextmanager
def opened(database: str, makes: bool = False) -> Iterator[Any]:
    """A connection for one question: a database that went away is found at once."""
    if database.startswith(POSTGRES):
        import psycopg

        with psycopg.connect(database, connect_timeout=5) as connection:
            yield connection
        return
    mode = "rwc" if makes else "ro"
    found = sqlite3.connect(f"file:{database}?mode={mode}", uri=True, timeout=30)
    try:
        yield found
    finally:
        found.close()


def find(database: str, claim_number: str) -> dict[str, str] | None:
    """The record of a claim, or `None`."""
    mark = "%s" if database.startswith(POSTGRES) else "?"
    with opened(database) as connection:
        cursor = connection.cursor()
        cursor.execute(
            f"SELECT {', '.join(COLUMNS)} FROM claims WHERE key = {mark}", (key(claim_number),)
        )
        row = cursor.fetchone()
    return None if row is None else dict(zip(COLUMNS, row, strict=True))


def served(database: str) -> MCPServer:
    """The server, ready to run on its standard streams."""
    server = MCPServer("claims")

    @server.tool(annotations={"readOnlyHint": True, "idempotentHint": True})
    def lookup_claim(claim_number: str) -> dict[str, Any]:
        """Look a claim up by the number that the provider gave."""
        record = find(database, claim_number)
        return {"found": record is not None, "record": record or {}}

    return server


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", default="build/claims.sqlite")
    given = parser.parse_args()
    fill(given.database)
    served(given.database).run()


if __name__ == "__main__":
    main()
