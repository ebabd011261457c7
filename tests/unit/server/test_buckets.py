"""Token buckets, and the table of them."""

from __future__ import annotations

from nat_traversal.server.buckets import Bucket, Buckets


class TestBucket:
    def test_burst_passes_at_once_and_not_one_more(self) -> None:
        bucket = Bucket(burst=3, rate=2.0, now=10.0)
        assert [bucket.take(10.0) for _ in range(4)] == [True, True, True, False]

    def test_rate_passes_for_ever(self) -> None:
        bucket = Bucket(burst=1, rate=2.0, now=0.0)
        assert [number for number in range(1000) if not bucket.take(number * 0.5)] == []

    def test_what_is_refused_costs_nothing(self) -> None:
        bucket = Bucket(burst=1, rate=1.0, now=0.0)
        assert [bucket.take(number / 10) for number in range(11)].count(True) == 2

    def test_silence_saves_up_no_more_than_the_burst(self) -> None:
        bucket = Bucket(burst=3, rate=2.0, now=0.0)
        assert [bucket.take(1000.0) for _ in range(4)] == [True, True, True, False]

    def test_wait_tells_when_the_next_passes(self) -> None:
        bucket = Bucket(burst=2, rate=0.5, now=0.0)
        assert bucket.wait(0.0) == 0.0
        assert bucket.take(0.0, 2.0)
        assert bucket.wait(0.0) == 2.0
        assert not bucket.take(1.9)
        assert bucket.take(2.0)

    def test_a_charge_is_owed_but_no_more_than_a_burst(self) -> None:
        bucket = Bucket(burst=2, rate=1.0, now=0.0)
        bucket.charge(0.0, 100.0)
        assert bucket.wait(0.0) == 3.0


class TestBuckets:
    def test_each_key_has_its_own(self) -> None:
        buckets: Buckets[str] = Buckets(1, 1.0)
        assert [buckets.take(key, 0.0) for key in "aabb"] == [True, False, True, False]

    def test_no_more_than_so_many_are_kept_and_the_one_used_last_stays(self) -> None:
        buckets: Buckets[int] = Buckets(1, 0.001, most=3)
        for key in (1, 2, 3, 1, 4):
            buckets.take(key, 0.0)
        assert len(buckets) == 3
        assert not buckets.take(1, 0.0), "the one used last was forgotten"
        assert buckets.take(2, 0.0), "the one used longest ago was kept"

    def test_those_that_are_full_again_are_forgotten(self) -> None:
        buckets: Buckets[int] = Buckets(1, 1.0)
        for key in range(100):
            buckets.take(key, 0.0)
        for key in range(100, 160):
            buckets.take(key, 10.0)
        assert len(buckets) == 60
