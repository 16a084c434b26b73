"""A full-text search on CloudShelf's `books`, which no built-in access pattern covers.

    cd examples/own_sql && loadtests gate --scenario search.py

The index is created before the run, and dropped after it unless the database is embedded.
"""

from loadtests.clients import postgres_connection
from loadtests.errors import ResponseInvalid
from loadtests.load.plugin import OpenLoopUser, access_pattern, store
from loadtests.targets.endpoints import Endpoints

WORDS = ("handbook", "practice", "history", "jazz", "chess", "maps", "bread", "flowers")
CREATE = """
    create index if not exists books_by_word on books using gin (to_tsvector('simple', title))
"""
SEARCH = """
    select title from books
     where to_tsvector('simple', title) @@ plainto_tsquery('simple', %s)
     order by price limit 10
"""


class BookSearch:
    """One user's connection."""

    def __init__(self, endpoints: Endpoints) -> None:
        self._connection = postgres_connection(endpoints)

    def by_word(self, word: str) -> list[str]:
        return [title for (title,) in self._connection.execute(SEARCH, (word,))]

    def close(self) -> None:
        self._connection.close()


class SearchUser(OpenLoopUser):
    books: BookSearch = store(BookSearch, backend="postgres")

    @classmethod
    def prepare(cls, endpoints: Endpoints) -> None:
        with postgres_connection(endpoints) as connection:
            connection.execute(CREATE)

    @classmethod
    def clean_up(cls, endpoints: Endpoints) -> None:
        with postgres_connection(endpoints) as connection:
            connection.execute("drop index if exists books_by_word")

    @access_pattern("catalogue.search", share=1)
    def search(self) -> None:
        word = self.random.choice(WORDS)
        titles = self.call(self.books.by_word, word)
        if not all(word in title.lower() for title in titles):
            raise ResponseInvalid(f"a title without {word}")
