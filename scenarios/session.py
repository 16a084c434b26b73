"""Sessions under load: create, get, refresh, store the cart summary.

locust -f scenarios/session.py --headless --run-time 60s
"""

from loadtests.errors import ResponseInvalid
from loadtests.load.plugin import OpenLoopUser, access_pattern, store
from loadtests.stores import SessionStore


class SessionUser(OpenLoopUser):
    """Each method makes one call; `share` is its part of the arrivals."""

    sessions: SessionStore = store()

    @access_pattern("session.create", share=18)
    def create(self) -> None:
        session = self.session_work.new(self.now())
        self.call(self.sessions.create, session)
        self.session_work.was_created(session.session_id)

    @access_pattern("session.get", share=30)
    def get(self) -> None:
        session_id = self.session_work.any_id()
        session = self.call(self.sessions.get, session_id, self.now())
        if session is None or session.session_id != session_id:
            raise ResponseInvalid(f"session {session_id} is not there")

    @access_pattern("session.refresh", share=20)
    def refresh(self) -> None:
        self.call(self.sessions.refresh, self.session_work.any_id(), self.now())

    @access_pattern("session.store_summary", share=18)
    def store_summary(self) -> None:
        summary = self.session_work.summary()
        self.call(self.sessions.store_summary, self.session_work.any_id(), summary, self.now())
