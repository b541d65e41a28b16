"""The store in memory: the kit, and a model of its bounds."""

from __future__ import annotations

from collections import OrderedDict

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from compilm.clock import ManualClock
from compilm.errors import UsageError
from compilm.runtime.caches import MemoryStore, Store
from compilm.testing.store_kit import StoreKit


class TestMemoryStore(StoreKit):
    @pytest.fixture
    def store(self, clock: ManualClock) -> Store:
        return MemoryStore(clock=clock)


def test_what_was_used_last_stays() -> None:
    store = MemoryStore(entries=3)
    for key in "abc":
        store.put(key, key.encode())
    assert store.get("a") == b"a"
    store.put("d", b"d")
    assert [store.get(key) for key in "abcd"] == [b"a", None, b"c", b"d"]


def test_a_value_above_the_bound_takes_nothing_elses_place() -> None:
    store = MemoryStore(size=10)
    store.put("a", b"1234")
    store.put("b", b"0123456789")
    assert (store.get("a"), store.get("b"), store.held) == (b"1234", None, 5)


@pytest.mark.parametrize("bounds", [{"entries": 0}, {"size": 0}])
def test_a_store_that_keeps_nothing_is_refused(bounds: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="keeps nothing"):
        MemoryStore(**bounds)


class BoundsModel(RuleBasedStateMachine):
    """The store against an ordered dictionary that drops from its front."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock()
        self.store = MemoryStore(entries=4, size=40, clock=self.clock)
        self.model: OrderedDict[str, tuple[bytes, float]] = OrderedDict()

    @rule(key=st.sampled_from("abcdef"), length=st.integers(0, 45), ttl=st.integers(1, 9))
    def puts(self, key: str, length: int, ttl: int) -> None:
        self.store.put(key, b"v" * length, float(ttl))
        self.model.pop(key, None)
        if length + 1 <= 40:
            self.model[key] = b"v" * length, self.clock.now() + ttl
        while len(self.model) > 4 or self.weight() > 40:
            self.model.popitem(last=False)

    @rule(key=st.sampled_from("abcdef"))
    def gets(self, key: str) -> None:
        value, until = self.model.get(key, (None, 0.0))
        if value is not None and until <= self.clock.now():
            del self.model[key]
            value = None
        elif value is not None:
            self.model.move_to_end(key)
        assert self.store.get(key) == value

    @rule(seconds=st.integers(1, 5))
    def time_passes(self, seconds: int) -> None:
        self.clock.advance(seconds)

    def weight(self) -> int:
        return sum(len(key) + len(value) for key, (value, _) in self.model.items())

    @invariant()
    def holds_as_much(self) -> None:
        assert (len(self.store), self.store.held) == (len(self.model), self.weight())
        assert len(self.store) <= 4
        assert self.store.held <= 40


TestBoundsModel = BoundsModel.TestCase
TestBoundsModel.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
