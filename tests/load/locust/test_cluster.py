"""Who owns what in a cluster, and when its workers begin."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import gevent
import pytest
from greenlet import GreenletExit
from locust.env import Environment
from locust.rpc.protocol import Message
from locust.runners import WorkerNode

from loadtests.config import Config, Data, Load
from loadtests.errors import UsageError
from loadtests.load.child_environment import SERVED_SUBJECT_VARIABLE
from loadtests.load.locust.assignment import UserAssignment
from loadtests.load.locust.cluster import (
    LEAD_NS,
    ClusterMaster,
    ClusterPlan,
    ClusterWorker,
    FixedDispatcher,
    scenario_of,
    versions,
)
from loadtests.load.locust.session import LoadSession
from loadtests.load.locust.users import OpenLoopUser, access_pattern
from loadtests.load.loop.run import LoadRun
from loadtests.load.schedule.arrivals import WorkerShare
from loadtests.measure.health import probes
from loadtests.targets.endpoints import Endpoints
from loadtests.targets.seed.dataset import make_dataset

SUBJECTS = "base=/a:dynamodb/shop:make head=/b:dynamodb/shop:make"
CONFIG = Config(
    load=Load(subjects=SUBJECTS, rate=100.0, warm_up=2.0), data=Data(users=60, books=20)
)


class CartUser(OpenLoopUser):
    @access_pattern("cart.get", share=3)
    def get(self) -> None: ...

    @access_pattern("cart.update", share=1)
    def update(self) -> None: ...


class SessionUser(OpenLoopUser):
    @access_pattern("session.get", share=4)
    def get(self) -> None: ...


class Channel:
    """What both ends of a cluster need of Locust's runner; keeps what is sent."""

    def __init__(self, *clients: str) -> None:
        self.listeners: dict[str, Any] = {}
        self.sent: list[tuple[str, Any, str | None]] = []
        nodes = [WorkerNode(client) for client in clients]
        self.clients = SimpleNamespace(ready=nodes, running=[], spawning=[], missing=[], all=nodes)
        self.client_id = clients[0]

    def register_message(self, name: str, listener: Any, concurrent: bool = False) -> None:
        self.listeners[name] = listener

    def send_message(self, name: str, data: Any = None, client_id: str | None = None) -> None:
        self.sent.append((name, data, client_id))

    def hear(self, name: str, data: Any, client: str) -> None:
        self.listeners[name](msg=Message(name, data, client))


def controller_of(*classes: type) -> Any:
    environment = Environment(user_classes=list(classes))
    return SimpleNamespace(
        environment=environment, user_classes=list(classes), session=LoadSession(environment),
        forward=lambda *_: None, report_fault=lambda _: None, opened=[], on_interval=None,
        on_fault=None, await_start=None,
    )  # fmt: skip


def worker_of(
    monkeypatch: pytest.MonkeyPatch, subject: str, *classes: type
) -> tuple[ClusterWorker, Channel, Any]:
    monkeypatch.setenv(SERVED_SUBJECT_VARIABLE, subject)
    channel, controller = Channel("a"), controller_of(*classes or (CartUser,))
    return ClusterWorker(controller, channel), channel, controller  # type: ignore[arg-type]


def plan_of(config: Config = CONFIG) -> ClusterPlan:
    return ClusterPlan(
        config, Endpoints(), {"a": "worker 1", "b": "worker 2"}, scenario_of([CartUser]), versions()
    )


# --- shares


def test_a_worker_that_serves_a_subject_has_all_of_it_and_nothing_else() -> None:
    plan = plan_of()
    assert plan.subjects == ["base", "head"]
    assert plan.share_of("b", "base") == WorkerShare(0, 1, subject=0)
    assert plan.share_of("a", "head") == WorkerShare(0, 1, subject=1)
    alike = plan_of(Config(load=Load(subjects="wire boto3")))
    assert alike.subjects == []
    assert alike.share_of("b") == WorkerShare(1, 2)


def assignment(share: WorkerShare, config: Config = CONFIG) -> UserAssignment:
    dataset = make_dataset(config.data, config.load.seed, datetime.now(UTC))
    run = LoadRun(
        scribe=SimpleNamespace(), worker="w", warm_up_s=2.0, timer=lambda _: SimpleNamespace(),
        sample_delays=False,
    )  # fmt: skip
    return UserAssignment(
        config, Endpoints(), dataset, run, [CartUser, SessionUser], share, lambda _: None
    )


def groups_of(users: UserAssignment) -> list[Any]:
    return [group for groups in users._groups.values() for group in groups]


def first_arrivals(group: Any, count: int = 200) -> list[int]:
    schedule = group.callers.dispatcher._schedule
    chunks: list[int] = []
    while len(chunks) < count:
        chunks += next(schedule).tolist()
    return chunks[:count]


def test_two_workers_are_to_two_subjects_what_one_process_is() -> None:
    """Keys, arrivals and draws: all of the subject's, and none of the other's."""
    together = groups_of(assignment(WorkerShare()))
    apart = [assignment(WorkerShare(subject=index)) for index in (0, 1)]
    for index, users in enumerate(apart):
        groups = groups_of(users)
        assert {group.subject.index for group in groups} == {index}
        expected = [group for group in together if group.subject.index == index]
        assert len(groups) == len(expected) == 2
        for group, same in zip(groups, expected, strict=True):
            assert [c.user_id for c in group.carts.carts] == [c.user_id for c in same.carts.carts]
            assert group.sessions.ids == same.sessions.ids
            assert first_arrivals(group) == first_arrivals(same)
            assert [group.draw()[0] for _ in range(50)] == [same.draw()[0] for _ in range(50)]
    keys = [{c.user_id for c in groups_of(users)[0].carts.carts} for users in apart]
    assert not keys[0] & keys[1]
    assert len(keys[0]) == len(keys[1]) == CONFIG.data.users // 2


def test_subjects_alternate_across_processes() -> None:
    blocks = [
        {int(ns // 1_000_000_000) for ns in first_arrivals(groups_of(users)[0], 2_000)}
        for users in (assignment(WorkerShare(subject=index)) for index in (0, 1))
    ]
    assert not blocks[0] & blocks[1]
    both = sorted(blocks[0] | blocks[1])
    assert both[: len(both) - 2] == list(range(len(both) - 2))


def test_each_worker_gets_users_of_each_class() -> None:
    """Two classes and two workers: Locust gave each worker the users of one class."""
    nodes = [WorkerNode("a"), WorkerNode("b")]
    dispatcher = FixedDispatcher(worker_nodes=nodes, user_classes=[CartUser, SessionUser])
    dispatcher.new_dispatch(target_user_count=16, spawn_rate=100)
    *_, last = dispatcher
    assert last == {name: {"CartUser": 4, "SessionUser": 4} for name in ("a", "b")}


# --- the plan


def test_a_worker_names_its_subject_and_is_called_by_it(monkeypatch: pytest.MonkeyPatch) -> None:
    worker, channel, controller = worker_of(monkeypatch, "head")
    monkeypatch.setattr("loadtests.load.locust.cluster.check_stores", lambda *_, **__: None)
    made: list[Any] = []
    controller.open_relay = made.append
    controller.make_load = lambda *arguments: made.append(arguments[2:])
    channel.hear("loadtests_plan", plan_of().message(), "a")
    assert channel.sent == [
        ("loadtests_answer", {"problem": "", "hint": "", "subject": "head"}, None)
    ]
    worker.start()
    assert made == ["head", ("head", WorkerShare(subject=1))]


@pytest.mark.parametrize(
    ("served", "config", "problem"),
    [
        ("other", CONFIG, "it serves the subject other, and the run has base, head."),
        ("", CONFIG, "it serves no single subject, and the run has base, head."),
        ("base", Config(), "it serves the subject base, and the run has no subjects of their own."),
    ],
)
def test_a_worker_of_another_run_does_not_take_part(
    monkeypatch: pytest.MonkeyPatch, served: str, config: Config, problem: str
) -> None:
    _, channel, _ = worker_of(monkeypatch, served)
    channel.hear("loadtests_plan", plan_of(config).message(), "a")
    assert channel.sent[0][1]["problem"] == problem


def test_a_worker_says_what_is_wrong_with_its_stores(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, served: str) -> None:
        raise UsageError(f"{served}: no cart store.", hint="Return one.")

    monkeypatch.setattr("loadtests.load.locust.cluster.check_stores", refuse)
    _, channel, _ = worker_of(monkeypatch, "base")
    channel.hear("loadtests_plan", plan_of().message(), "a")
    assert channel.sent[0][1] == {
        "problem": "base: no cart store.", "hint": "Return one.", "subject": "base"
    }  # fmt: skip


def planned(
    *answers: tuple[str, str], config: Config = CONFIG
) -> tuple[ClusterMaster, Channel, Any]:
    """A master whose workers answer (client, subject) to its plan."""
    channel, controller = Channel(*(client for client, _ in answers)), controller_of(CartUser)
    controller.open_folder = lambda _, __, workers: controller.opened.extend(workers)
    master = ClusterMaster(controller, channel)  # type: ignore[arg-type]
    for client, subject in answers:
        answer = {"problem": "", "hint": "", "subject": subject}
        gevent.spawn_later(0, channel.hear, "loadtests_answer", answer, client)
    master.plan(config, Endpoints(), [client for client, _ in answers])
    return master, channel, controller


def test_workers_are_called_by_their_subjects_in_the_run_folder() -> None:
    master, _, controller = planned(("b", "head"), ("a", "base"))
    assert controller.opened == ["head", "base"]
    master._waiting.clear()


@pytest.mark.parametrize("answers", [(("a", "base"), ("b", "base")), (("a", "base"),)])
def test_each_subject_needs_one_worker(
    answers: tuple[tuple[str, str], ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(GreenletExit):
        planned(*answers)
    message = capsys.readouterr().err
    assert message.startswith("Error: The subjects are base, head, and the workers serve base")


# --- time 0


def test_workers_begin_together_when_the_last_is_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    master, channel, _ = planned(("a", "base"), ("b", "head"))
    channel.sent.clear()
    channel.hear("loadtests_ready", {}, "a")
    assert channel.sent == []
    monkeypatch.setattr("time.monotonic_ns", lambda: 5_000)
    channel.hear("loadtests_ready", {}, "b")
    start = {"origin_ns": 5_000 + LEAD_NS, "machine": probes.boot_id()}
    assert sorted(channel.sent, key=str) == [
        ("loadtests_start", start, "a"), ("loadtests_start", start, "b")
    ]  # fmt: skip
    master._waiting.clear()


def test_a_worker_that_is_lost_is_not_waited_for() -> None:
    master, channel, _ = planned(("a", "base"), ("b", "head"))
    channel.sent.clear()
    channel.hear("loadtests_ready", {}, "a")
    master._lose({"b"})
    assert [(name, client) for name, _, client in channel.sent] == [("loadtests_start", "a")]
    master._waiting.clear()


@pytest.mark.parametrize(("machine", "origin_ns"), [(probes.boot_id(), 77), ("another", None)])
def test_time_0_is_the_masters_where_both_have_one_clock(
    monkeypatch: pytest.MonkeyPatch, machine: str, origin_ns: int | None
) -> None:
    _, channel, controller = worker_of(monkeypatch, "")
    waiting = gevent.spawn(controller.await_start)
    gevent.sleep(0)
    assert channel.sent == [("loadtests_ready", {}, None)]
    channel.hear("loadtests_start", {"origin_ns": 77, "machine": machine}, "a")
    assert waiting.get(timeout=5) == origin_ns


def test_a_plan_makes_the_worker_wait_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second run of a web UI must not begin by the first one's time 0."""
    _, channel, controller = worker_of(monkeypatch, "")
    config = Config()
    plan = replace(plan_of(config), scenario=scenario_of([CartUser]))
    for _ in range(2):
        channel.hear("loadtests_plan", plan.message(), "a")
        waiting = gevent.spawn(controller.await_start)
        gevent.sleep(0)
        assert not waiting.ready()
        channel.hear("loadtests_start", {"origin_ns": 1, "machine": "x"}, "a")
        assert waiting.get(timeout=5) is None
