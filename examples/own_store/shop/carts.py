"""A cart repository on SQLAlchemy, and the factory `make`, through which a load test calls it.

loadtests compare --interleave psycopg shop.carts:make --scenario ../../scenarios/cart.py
loadtests compare --interleave base=../base:shop.carts:make head=.:shop.carts:make …
"""

from datetime import datetime

import psycopg
import sqlalchemy as sql
from sqlalchemy.dialects.postgresql import insert

from loadtests.errors import LineNotFound
from loadtests.model import Book, CartItem
from loadtests.targets.endpoints import Endpoints

CARTS = sql.Table(
    "carts",
    sql.MetaData(),
    sql.Column("user_id", sql.Text, primary_key=True),
    sql.Column("book_id", sql.Text, primary_key=True),
    sql.Column("quantity", sql.SmallInteger),
    sql.Column("added_at", sql.DateTime(True)),
    sql.Column("updated_at", sql.DateTime(True)),
    sql.Column("book_title", sql.Text),
    sql.Column("book_price", sql.Numeric(10, 2)),
    sql.Column("book_image_url", sql.Text),
)
C = CARTS.c


class CartRepository:
    """The five cart calls over a connection of its own."""

    def __init__(self, dsn: str) -> None:
        engine = sql.create_engine(
            "postgresql+psycopg://", creator=lambda: psycopg.connect(dsn), poolclass=sql.NullPool
        )
        connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        self._run, self.close = connection.execute, connection.close

    def get(self, user_id: str) -> list[CartItem]:
        cart = sql.select(CARTS).where(C.user_id == user_id).order_by(C.book_id.collate("C"))
        return [CartItem(*row) for row in self._run(cart)]

    def get_item(self, user_id: str, book_id: str) -> CartItem | None:
        row = self._run(sql.select(CARTS).where(_is_line(user_id, book_id))).first()
        return CartItem(*row) if row else None

    def add(self, user_id: str, book: Book, quantity: int, now: datetime) -> int:
        new = insert(CARTS).values(
            (user_id, book.book_id, quantity, now, now, book.title, book.price, book.image_url)
        )
        more = {"quantity": C.quantity + new.excluded.quantity, "updated_at": now}
        upsert = new.on_conflict_do_update(index_elements=["user_id", "book_id"], set_=more)
        return int(self._run(upsert.returning(C.quantity)).scalar_one())

    def update(self, user_id: str, book_id: str, quantity: int, now: datetime) -> None:
        line = sql.update(CARTS).where(_is_line(user_id, book_id))
        if not self._run(line.values(quantity=quantity, updated_at=now)).rowcount:
            raise LineNotFound

    def remove(self, user_id: str, book_id: str) -> None:
        if not self._run(sql.delete(CARTS).where(_is_line(user_id, book_id))).rowcount:
            raise LineNotFound


def _is_line(user_id: str, book_id: str) -> sql.ColumnElement[bool]:
    return sql.and_(C.user_id == user_id, C.book_id == book_id)


def make(endpoints: Endpoints) -> tuple[CartRepository, None]:
    """Called once per user of a load test: carts, and no sessions."""
    assert endpoints.postgres
    return CartRepository(endpoints.postgres.dsn), None


make.backend = "postgres"  # type: ignore[attr-defined]
