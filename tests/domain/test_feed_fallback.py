"""Which way a channel comes while streams fail, speak and are silent; the clock is the test's."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from domain.feed_fallback import POLL_AFTER_S, RENEW_AGAIN_S, SECOND_AFTER_S, Fallback, Ways

SILENCES = {"book": 5.0}


class Scene:
    """One place with the channels book and top, whose stream is live."""

    def __init__(self, *, has_second: bool = True) -> None:
        self.now = 100.0
        self.fallback: Fallback[str] = Fallback(SILENCES.get, has_second=has_second, now=self.now)
        self.fallback.follow({"book", "top"}, self.now)
        self.first(live=True)
        for channel in ("book", "top"):
            self.hear(channel)

    def first(self, *, live: bool) -> None:
        self.fallback.first_state(self.now, live=live)

    def second(self, *, live: bool) -> None:
        self.fallback.second_state(self.now, live=live)

    def hear(self, channel: str) -> None:
        self.fallback.first_heard(channel, self.now)

    def hear_second(self, channel: str) -> None:
        self.fallback.second_heard(channel, self.now)

    def after(self, seconds: float) -> Ways[str]:
        self.now += seconds
        return self.fallback.ways(self.now)


def nothing(ways: Ways[str]) -> bool:
    return ways == Ways(renew=None, second=frozenset(), poll=frozenset())


def test_a_live_stream_needs_nothing_however_quiet_a_quiet_channel_is() -> None:
    scene = Scene()
    for _ in range(100):
        scene.hear("book")
        assert nothing(scene.after(4.0))


def test_a_lost_stream_first_gets_the_time_to_come_back() -> None:
    scene = Scene()
    scene.first(live=False)
    assert nothing(scene.after(SECOND_AFTER_S - 0.1))
    scene.first(live=True)
    assert nothing(scene.after(60.0 if not SILENCES else 4.0))


def test_then_the_second_stream_then_asking() -> None:
    scene = Scene()
    scene.first(live=False)
    ways = scene.after(SECOND_AFTER_S)
    assert (ways.second, ways.poll) == (frozenset({"book", "top"}), frozenset())
    ways = scene.after(POLL_AFTER_S - SECOND_AFTER_S)
    assert ways.second == ways.poll == {"book", "top"}
    scene.second(live=True)
    scene.hear_second("book")
    assert scene.after(0.1).poll == {"top"}
    scene.hear_second("top")
    assert scene.after(0.1).poll == frozenset()
    scene.second(live=False)
    assert scene.after(0.1).poll == {"book", "top"}
    scene.second(live=True)
    assert scene.after(0.1).poll == {"book", "top"}, "until the new connection has spoken"
    scene.hear_second("book")
    assert scene.after(0.1).poll == {"top"}
    assert scene.after(6.0).poll == {"book", "top"}, "a book may not be silent"


def test_without_a_second_stream_asking_comes_sooner() -> None:
    scene = Scene(has_second=False)
    scene.first(live=False)
    assert nothing(scene.after(SECOND_AFTER_S - 0.1))
    ways = scene.after(0.1)
    assert (ways.second, ways.poll) == (frozenset(), frozenset({"book", "top"}))


def test_a_channel_goes_back_when_the_stream_has_spoken_of_it() -> None:
    scene = Scene()
    scene.first(live=False)
    scene.after(SECOND_AFTER_S)
    scene.second(live=True)
    scene.hear_second("top")
    scene.first(live=True)
    ways = scene.after(0.1)
    assert ways.second == {"top"}, "the book was told by nobody else: it is the stream's again"
    scene.hear("book")
    scene.hear("top")
    assert nothing(scene.after(0.1))


def test_what_was_told_before_the_stream_counts_as_live_is_its_word_too() -> None:
    scene = Scene()
    scene.first(live=False)
    scene.after(SECOND_AFTER_S)
    scene.fallback.polled("top")
    scene.hear("top")
    scene.now += 0.1
    scene.first(live=True)
    assert nothing(scene.after(0.1))


def test_a_silent_channel_renews_the_stream_and_comes_another_way_meanwhile() -> None:
    scene = Scene()
    scene.now += RENEW_AGAIN_S
    scene.hear("book")
    assert scene.after(5.1).renew == "book"
    assert scene.after(SECOND_AFTER_S).second == {"book"}
    assert scene.after(1.0).renew is None, "not all the time"
    scene.hear("book")
    assert nothing(scene.after(0.1))
    assert scene.after(RENEW_AGAIN_S).renew is not None


def test_a_young_connection_is_not_renewed_for_silence() -> None:
    scene = Scene()
    ways = scene.after(6.0)
    assert ways.renew is None
    assert scene.after(SECOND_AFTER_S).second == {"book"}


def test_a_channel_that_is_wanted_later_has_its_own_time_to_speak() -> None:
    scene = Scene()
    scene.hear("book")
    scene.after(4.0)
    scene.fallback.follow({"top"}, scene.now)
    scene.after(60.0)
    scene.fallback.follow({"top", "book"}, scene.now)
    assert nothing(scene.after(4.9))
    scene.first(live=False)
    scene.fallback.follow({"ticker"}, scene.now)
    assert scene.after(SECOND_AFTER_S).second == {"ticker"}


events = st.sampled_from(
    ["up", "down", "up2", "down2", "book", "top", "book2", "top2", "poll", "wait"]
)


@given(st.lists(events, max_size=60), st.booleans())
def test_whatever_happens_only_wanted_and_lost_channels_come_otherwise(
    steps: list[str], has_second: bool
) -> None:
    scene = Scene(has_second=has_second)
    live = True
    for step in steps:
        if step in ("up", "down"):
            live = step == "up"
            scene.first(live=live)
        elif step in ("up2", "down2"):
            scene.second(live=step == "up2")
        elif step in ("book", "top"):
            scene.hear(step)
        elif step in ("book2", "top2"):
            scene.hear_second(step[:-1])
        elif step == "poll":
            scene.fallback.polled("top")
        ways = scene.after(1.0)
        assert ways.second | ways.poll <= {"book", "top"}
        assert has_second or not ways.second
        assert ways.renew is None or live
    scene.first(live=True)
    scene.hear("book")
    scene.hear("top")
    assert nothing(scene.after(0.1)), "once the stream has spoken of all, nothing else is asked"
    scene.first(live=False)
    scene.second(live=False)
    assert scene.after(POLL_AFTER_S).poll == {"book", "top"}, "a lost stream is always replaced"
