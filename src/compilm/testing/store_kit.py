"""The tests that every store of answers must pass: subclass `StoreKit` and give its fixture."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

from ..clock import ManualClock
from ..runtime.caches.lease import Claim, Leases
from ..runtime.caches.store import Store

__all__ = ["LeasesKit", "StoreKit"]


class StoreKit:
    """What every store must do. Override `store` with an empty one that goes by `clock`.

    `unit` is how many seconds a second of the kit is: many, for a store whose time also goes by
    itself and is only moved on by `clock`.
    """

    unit = 1.0

    @pytest.fixture
    def clock(self) -> ManualClock:
        return ManualClock(start=1_000_000.0)

    @pytest.fixture
    def store(self, clock: ManualClock) -> Store:
        raise NotImplementedError("give an empty store that goes by this clock")

    def test_what_was_put_is_found_byte_for_byte(self, store: Store) -> None:
        values = {"empty": b"", "all": bytes(range(256)), "long": b"x" * 100_000}
        for key, value in values.items():
            store.put(key, value)
        assert {key: store.get(key) for key in values} == values
        assert store.get("another") is None

    def test_the_last_value_put_is_the_one(self, store: Store) -> None:
        for value in (b"one", b"two", b"three"):
            store.put("k", value)
        assert store.get("k") == b"three"

    def test_a_value_is_there_until_its_time_is_over(
        self, store: Store, clock: ManualClock
    ) -> None:
        store.put("short", b"s", ttl=5.0 * self.unit)
        store.put("long", b"l", ttl=50.0 * self.unit)
        store.put("open", b"o")
        clock.advance(4.9 * self.unit)
        assert store.get("short") == b"s"
        clock.advance(0.2 * self.unit)
        assert (store.get("short"), store.get("long"), store.get("open")) == (None, b"l", b"o")

    def test_a_new_value_begins_a_new_time(self, store: Store, clock: ManualClock) -> None:
        store.put("k", b"first", ttl=5.0 * self.unit)
        clock.advance(4.0 * self.unit)
        store.put("k", b"second", ttl=5.0 * self.unit)
        clock.advance(4.0 * self.unit)
        assert store.get("k") == b"second"

    def test_threads_and_tasks_see_the_same(self, store: Store) -> None:
        async def swap() -> bytes | None:
            found = await store.aget("by a thread")
            await store.aput("by a task", b"t", 60.0)
            return found

        store.put("by a thread", b"b")
        assert asyncio.run(swap()) == b"b"
        assert store.get("by a task") == b"t"

    def test_many_threads_never_find_what_nobody_put(self, store: Store) -> None:
        def work(number: int) -> set[bytes | None]:
            key = str(number % 5)
            store.put(key, f"{key} of {number}".encode())
            return {store.get(str(n)) for n in range(5)}

        with ThreadPoolExecutor(8) as pool:
            found = set().union(*pool.map(work, range(100)))
        assert found <= {None, *(f"{n % 5} of {n}".encode() for n in range(100))}
        assert {(store.get(str(n)) or b"")[:1] for n in range(5)} == {b"0", b"1", b"2", b"3", b"4"}

    def test_many_tasks_lose_nothing(self, store: Store) -> None:
        async def everyone() -> list[bytes | None]:
            await asyncio.gather(*(store.aput(str(n), b"%d" % n) for n in range(100)))
            return await asyncio.gather(*(store.aget(str(n)) for n in range(100)))

        assert asyncio.run(everyone()) == [b"%d" % n for n in range(100)]

    def test_after_closing_it_can_be_used_again(self, store: Store) -> None:
        store.put("k", b"before")
        store.close()
        store.put("k", b"after")
        assert store.get("k") == b"after"
        store.close()


class LeasesKit(StoreKit):
    """What a store that gives turns must do besides. Override `store` as for `StoreKit`."""

    @pytest.fixture
    def leases(self, store: Store) -> Leases:
        assert isinstance(store, Leases)
        return store

    def test_one_has_the_turn_until_it_gives_it_back(self, leases: Leases) -> None:
        assert leases.claim("k", "one", 60.0) == Claim(None, True)
        assert leases.claim("k", "two", 60.0) == Claim(None, False)
        assert asyncio.run(leases.aclaim("k", "three", 60.0)) == Claim(None, False)
        assert leases.claim("another", "two", 60.0).is_mine
        leases.release("k", "one")
        assert asyncio.run(leases.aclaim("k", "three", 60.0)) == Claim(None, True)
        asyncio.run(leases.arelease("k", "three"))
        assert leases.claim("k", "two", 60.0).is_mine

    def test_nobody_gives_back_the_turn_of_another(self, leases: Leases) -> None:
        leases.claim("k", "one", 60.0)
        leases.release("k", "two")
        asyncio.run(leases.arelease("k", "two"))
        assert not leases.claim("k", "two", 60.0).is_mine

    def test_a_turn_ends_by_itself(self, leases: Leases, clock: ManualClock) -> None:
        leases.claim("k", "one", 5.0 * self.unit)
        clock.advance(4.9 * self.unit)
        assert not leases.claim("k", "two", 5.0 * self.unit).is_mine
        clock.advance(0.2 * self.unit)
        assert leases.claim("k", "two", 5.0 * self.unit).is_mine
        leases.release("k", "one")
        assert not leases.claim("k", "three", 60.0).is_mine

    def test_whoever_claims_sees_what_was_kept_before_the_turn_was_free(
        self, leases: Leases
    ) -> None:
        leases.claim("k", "one", 60.0)
        leases.put("k", b"value")
        assert leases.claim("k", "two", 60.0) == Claim(b"value", False)
        leases.release("k", "one")
        assert asyncio.run(leases.aclaim("k", "two", 60.0)) == Claim(b"value", True)

    def test_of_many_threads_one_has_the_turn(self, leases: Leases) -> None:
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda n: leases.claim("k", str(n), 60.0), range(40)))
        assert sum(claim.is_mine for claim in found) == 1
