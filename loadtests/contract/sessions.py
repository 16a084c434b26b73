"""The contract of a session store (`loadtests.stores.SessionStore`)."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import ClassVar, Final
from uuid import uuid4

import pytest

from loadtests.contract.fixtures import (
    StoreContract,
    another_store,
    check_wire_time,
    needs,
    opened_store,
)
from loadtests.contract.samples import INDIA, LATER, NOW, TEXTS, make_session
from loadtests.errors import SessionNotFound
from loadtests.model import SESSION_LIFE_S, CartSummary, Preferences, Session, SessionData
from loadtests.stores import SessionStore

_METHODS: Final = ("create", "get", "refresh", "store_summary", "close")
_AFTER_EXPIRY: Final = (timedelta(0), timedelta(microseconds=1), timedelta(1))


class SessionContract(StoreContract):
    """Tests of a session store. A subclass has the fixture `open_sessions`, or `sessions`."""

    every_method: ClassVar[Collection[str]] = _METHODS
    methods: ClassVar[Collection[str]] = _METHODS

    @pytest.fixture
    def open_sessions(self) -> Callable[[], SessionStore] | None:
        """Opens a store with a connection of its own."""
        return None

    @pytest.fixture
    def sessions(self, open_sessions: Callable[[], SessionStore] | None) -> Iterator[SessionStore]:
        """The store under test."""
        store = opened_store(open_sessions, type(self).__name__, "open_sessions")
        yield store
        if "close" in self.methods:
            store.close()

    @pytest.fixture
    def new_session(self, user: str) -> Callable[[str], Session]:
        """Makes a session of `user`, not yet stored, from a text that some of its fields hold."""
        return lambda text: make_session(f"sess-{uuid4()}", user, text)

    @pytest.fixture
    def session(self, new_session: Callable[[str], Session]) -> Session:
        """A session that is not yet stored."""
        return new_session("devops")

    # Creating and reading

    @needs("create", "get")
    def test_create_stores_the_whole_session(
        self, sessions: SessionStore, session: Session
    ) -> None:
        """`get` returns a session that is equal in every field."""
        sessions.create(session)
        assert sessions.get(session.session_id, NOW) == session

    @needs("create", "get")
    def test_create_replaces_a_session_of_the_same_id(
        self, sessions: SessionStore, session: Session
    ) -> None:
        """No field of the earlier session is left."""
        sessions.create(session)
        other = replace(
            session,
            session_data=SessionData(Preferences("light", "de", "EUR"), (), ()),
            cart_summary=CartSummary(0, Decimal(0), LATER),
            expires_at=session.expires_at + 7,
            ip_address="2001:db8::1",
        )
        sessions.create(other)
        assert sessions.get(session.session_id, NOW) == other

    @needs("create", "get")
    def test_sessions_of_one_user_are_separate(
        self, sessions: SessionStore, new_session: Callable[[str], Session]
    ) -> None:
        """A user may have several sessions."""
        first, second = new_session("first"), new_session("second")
        sessions.create(first)
        sessions.create(second)
        assert sessions.get(first.session_id, NOW) == first
        assert sessions.get(second.session_id, NOW) == second

    # Changing

    @needs("create", "get", "refresh")
    def test_refresh_gives_another_24_hours_and_keeps_the_rest(
        self, sessions: SessionStore, session: Session
    ) -> None:
        """`last_activity` is now, and `expires_at` is 24 hours later."""
        sessions.create(session)
        sessions.refresh(session.session_id, LATER)
        assert sessions.get(session.session_id, LATER) == replace(
            session, last_activity=LATER, expires_at=int(LATER.timestamp()) + SESSION_LIFE_S
        )

    @needs("create", "get", "store_summary")
    def test_store_summary_replaces_the_summary_and_keeps_the_rest(
        self, sessions: SessionStore, session: Session
    ) -> None:
        """`cart_summary` and `last_activity` change; `expires_at` does not."""
        sessions.create(session)
        summary = CartSummary(99, Decimal("1234567.89"), LATER)
        sessions.store_summary(session.session_id, summary, LATER)
        assert sessions.get(session.session_id, LATER) == replace(
            session, cart_summary=summary, last_activity=LATER
        )

    # Sessions that are not there

    @needs("get")
    def test_an_unknown_session_is_none(self, sessions: SessionStore, session: Session) -> None:
        """`get` returns None, and raises no error."""
        assert sessions.get(session.session_id, NOW) is None

    @needs("get", "refresh")
    def test_refresh_of_an_unknown_session_makes_none(
        self, sessions: SessionStore, session: Session
    ) -> None:
        """SessionNotFound, and there is still no session."""
        with pytest.raises(SessionNotFound):
            sessions.refresh(session.session_id, NOW)
        assert sessions.get(session.session_id, NOW) is None

    @needs("get", "store_summary")
    def test_a_summary_of_an_unknown_session_makes_none(
        self, sessions: SessionStore, session: Session
    ) -> None:
        """SessionNotFound, and there is still no session."""
        with pytest.raises(SessionNotFound):
            sessions.store_summary(session.session_id, session.cart_summary, NOW)
        assert sessions.get(session.session_id, NOW) is None

    @pytest.mark.parametrize("after_expiry", _AFTER_EXPIRY)
    @needs("create", "get")
    def test_an_expired_session_is_absent(
        self, sessions: SessionStore, session: Session, after_expiry: timedelta
    ) -> None:
        """`now` decides, not the database's clock, and not whether the row was removed."""
        sessions.create(session)
        expiry = _expiry_of(session)
        assert sessions.get(session.session_id, expiry + after_expiry) is None
        assert sessions.get(session.session_id, expiry - timedelta(microseconds=1)) == session

    @pytest.mark.parametrize("after_expiry", _AFTER_EXPIRY)
    @needs("create", "get", "refresh")
    def test_an_expired_session_is_not_refreshed(
        self, sessions: SessionStore, session: Session, after_expiry: timedelta
    ) -> None:
        """SessionNotFound from the moment of `expires_at` on; before it, 24 hours more."""
        sessions.create(session)
        expiry = _expiry_of(session)
        just_before = expiry - timedelta(microseconds=1)
        with pytest.raises(SessionNotFound):
            sessions.refresh(session.session_id, expiry + after_expiry)
        assert sessions.get(session.session_id, just_before) == session
        sessions.refresh(session.session_id, just_before)
        assert sessions.get(session.session_id, expiry) is not None

    @pytest.mark.parametrize("after_expiry", _AFTER_EXPIRY)
    @needs("create", "get", "store_summary")
    def test_an_expired_session_gets_no_summary(
        self, sessions: SessionStore, session: Session, after_expiry: timedelta
    ) -> None:
        """SessionNotFound, and nothing has changed."""
        sessions.create(session)
        expiry = _expiry_of(session)
        with pytest.raises(SessionNotFound):
            sessions.store_summary(
                session.session_id, CartSummary(1, Decimal(1), LATER), expiry + after_expiry
            )
        assert sessions.get(session.session_id, expiry - timedelta(microseconds=1)) == session

    # Fields

    @pytest.mark.parametrize("text", TEXTS)
    @needs("create", "get")
    def test_any_text_survives(
        self, sessions: SessionStore, new_session: Callable[[str], Session], text: str
    ) -> None:
        """Texts keep every character, and their normal form of Unicode."""
        session = new_session(text)
        sessions.create(session)
        assert sessions.get(session.session_id, NOW) == session

    @needs("create", "get")
    def test_times_keep_their_microseconds_and_their_instant(
        self, sessions: SessionStore, session: Session
    ) -> None:
        """Times of another zone come back as the same instants, in UTC."""
        summary = replace(session.cart_summary, last_updated=NOW.astimezone(INDIA))
        sessions.create(
            replace(
                session,
                cart_summary=summary,
                last_activity=LATER.astimezone(INDIA),
                created_at=NOW.astimezone(INDIA),
            )
        )
        stored = sessions.get(session.session_id, NOW)
        assert stored is not None
        times = (stored.created_at, stored.last_activity, stored.cart_summary.last_updated)
        assert times == (NOW, LATER, NOW)
        assert {each.utcoffset() for each in times} == {timedelta(0)}

    # The store itself

    @needs("get")
    def test_wire_time_is_a_part_of_the_call(
        self, sessions: SessionStore, session: Session
    ) -> None:
        """`wire_ns`, where the store measures it: whole nanoseconds, at most those of the call."""
        began_ns = time.perf_counter_ns()
        sessions.get(session.session_id, NOW)
        check_wire_time(sessions, time.perf_counter_ns() - began_ns)

    @needs("close")
    def test_close_may_be_called_twice_and_before_any_call(
        self, open_sessions: Callable[[], SessionStore] | None
    ) -> None:
        """The second call changes nothing."""
        store = another_store(open_sessions, "open_sessions")
        store.close()
        store.close()


def _expiry_of(session: Session) -> datetime:
    return datetime.fromtimestamp(session.expires_at, UTC)
