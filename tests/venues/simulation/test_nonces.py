"""The nonce rule: unused, in the window, above the lowest of the hundred highest."""

from hypothesis import given
from hypothesis import strategies as st

from venues.simulation.nonces import KEPT_NONCES, NEWEST_MS, OLDEST_MS, NonceBook, NonceProblem

NOW = 1_790_000_000_000


def problem(book: NonceBook, nonce: int, signer: str = "s") -> NonceProblem | None:
    refusal = book.refusal(signer, nonce, NOW)
    return refusal.problem if refusal else None


def test_a_nonce_is_used_once_per_signer() -> None:
    book = NonceBook()
    assert problem(book, NOW) is None
    book.use("s", NOW)
    assert problem(book, NOW) is NonceProblem.DUPLICATE
    assert problem(book, NOW, "other") is None
    book.forget("s")
    assert problem(book, NOW) is None


def test_the_window_is_two_days_back_and_one_ahead() -> None:
    book = NonceBook()
    assert problem(book, NOW - OLDEST_MS) is NonceProblem.TOO_LOW
    assert problem(book, NOW - OLDEST_MS + 1) is None
    assert problem(book, NOW + NEWEST_MS) is NonceProblem.TOO_HIGH
    assert problem(book, NOW + NEWEST_MS - 1) is None


def test_below_the_hundred_highest_is_too_low_but_a_seen_one_a_duplicate() -> None:
    book = NonceBook()
    for step in range(KEPT_NONCES + 1):
        book.use("s", NOW + 2 * step)
    assert problem(book, NOW + 1) is NonceProblem.TOO_LOW
    refusal = book.refusal("s", NOW + 1, NOW)
    assert refusal is not None
    assert refusal.bound == NOW + 2
    assert problem(book, NOW) is NonceProblem.DUPLICATE
    assert problem(book, NOW + 3) is None


@given(st.permutations(range(250)))
def test_no_nonce_is_ever_taken_twice(order: list[int]) -> None:
    book, taken = NonceBook(), []
    for nonce in [*order, *order]:
        if problem(book, NOW + nonce) is None:
            book.use("s", NOW + nonce)
            taken.append(nonce)
    assert len(taken) == len(set(taken))
    assert set(range(150, 250)) <= set(taken)
