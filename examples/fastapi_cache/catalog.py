"""The system of record: a small SQLite database of products, with a counter that tells when it was really asked."""

from __future__ import annotations

import sqlite3
import threading
from typing import Any

PRODUCTS = [("notebook", 4.5), ("pencil", 0.8), ("ruler", 2.2), ("note cards", 3.0)]


class Catalog:
    def __init__(self) -> None:
        self._database = sqlite3.connect(":memory:", check_same_thread=False)
        self._database.row_factory = sqlite3.Row
        self._database.execute("CREATE TABLE product (id INTEGER PRIMARY KEY, name TEXT NOT NULL, price REAL NOT NULL)")
        self._database.executemany("INSERT INTO product (name, price) VALUES (?, ?)", PRODUCTS)
        self._lock = threading.Lock()
        self.queries = 0

    def find(self, product_id: int) -> dict[str, Any] | None:
        rows = self._query("SELECT id, name, price FROM product WHERE id = ?", product_id)
        return rows[0] if rows else None

    def search(self, text: str) -> list[dict[str, Any]]:
        return self._query("SELECT id, name, price FROM product WHERE instr(name, ?) ORDER BY id", text)

    def reprice(self, product_id: int, price: float) -> bool:
        """Whether there is such a product."""
        with self._lock:
            return self._database.execute("UPDATE product SET price = ? WHERE id = ?", (price, product_id)).rowcount > 0

    def _query(self, statement: str, *parameters: Any) -> list[dict[str, Any]]:
        with self._lock:
            self.queries += 1
            return [dict(row) for row in self._database.execute(statement, parameters)]
