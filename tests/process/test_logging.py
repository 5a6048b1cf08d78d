"""Every line of a process, ours or a library's, is structured, has its context and no secret."""

import io
import json
import logging
import subprocess
import sys
import warnings
from collections.abc import Iterator

import pytest
import structlog

from process.logging import bind_context, configure_logging
from process.redaction import REDACTED

CANARY = "0x" + "c0ffee" * 10 + "beef"


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    hooks = sys.excepthook, sys.unraisablehook
    with warnings.catch_warnings():
        yield
    logging.captureWarnings(False)
    root.handlers[:] = handlers
    root.setLevel(level)
    sys.excepthook, sys.unraisablehook = hooks
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def lines_of(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_our_lines_and_those_of_libraries_have_one_shape() -> None:
    out = io.StringIO()
    configure_logging(service="api", stream=out)
    with bind_context(request_id="r1", order_id="o1", workflow_id="w1", account_id="a", venue="x"):
        structlog.get_logger("ours").info("placed", quantity="0.1")
        logging.getLogger("theirs").warning(
            "slow: %s", "yes", extra={"took_ms": 5, "color_message": "x"}
        )
    logging.getLogger("theirs").info("later")
    ours, theirs, later = lines_of(out)
    assert list(ours)[:5] == ["timestamp", "level", "service", "logger", "event"]
    context = {"request_id": "r1", "order_id": "o1", "workflow_id": "w1", "account_id": "a"}
    assert (
        ours.items()
        >= {
            "service": "api",
            "logger": "ours",
            "event": "placed",
            "level": "info",
            "quantity": "0.1",
            "venue": "x",
            **context,
        }.items()
    )
    assert (
        theirs.items()
        >= {
            "event": "slow: yes",
            "logger": "theirs",
            "level": "warning",
            "took_ms": 5,
            **context,
        }.items()
    )
    assert "order_id" not in later
    assert "color_message" not in theirs


def test_a_context_bound_plainly_stays_and_none_changes_nothing() -> None:
    out = io.StringIO()
    configure_logging(service="api", stream=out)
    bind_context(order_id="o1")
    bind_context(venue="hyperliquid", order_id=None)
    structlog.get_logger().info("x")
    assert lines_of(out)[0].items() >= {"order_id": "o1", "venue": "hyperliquid"}.items()


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_no_secret_reaches_the_stream(log_format: str) -> None:
    out = io.StringIO()
    configure_logging(service="worker", log_format=log_format, level="debug", stream=out)
    log = structlog.get_logger("ours")
    log.info(f"signed with {CANARY}", body={"key": [CANARY]}, private_key=CANARY)
    log.debug("x", **{CANARY: 1})
    logging.getLogger("theirs").error("header Authorization: %s", CANARY)
    try:
        local = CANARY
        raise ValueError(f"bad key {local}")
    except ValueError:
        log.exception("refused")
        logging.getLogger("theirs").exception("refused %s", CANARY)
    warnings.simplefilter("always")
    warnings.warn(f"old key {CANARY}", stacklevel=1)
    text = out.getvalue()
    assert CANARY not in text
    assert CANARY[2:] not in text
    assert text.count(REDACTED) >= 8
    assert "Traceback" in text


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_venue_cannot_steer_the_terminal(log_format: str) -> None:
    out = io.StringIO()
    configure_logging(service="worker", log_format=log_format, stream=out)
    structlog.get_logger().info("venue said \x1b[2J\x07", reason="\x1b]0;gone\x07\r\nINFO forged")
    assert not set("\x1b\x07\r") & set(out.getvalue())
    assert out.getvalue().count("\n") == 1


def test_libraries_keep_their_details_and_handlers_to_themselves() -> None:
    out = io.StringIO()
    uvicorn = logging.getLogger("uvicorn.access")
    uvicorn.addHandler(logging.StreamHandler(out))
    uvicorn.propagate = False
    configure_logging(service="api", level="DEBUG", stream=out)
    logging.getLogger("aiohttp.client").debug("body")
    uvicorn.info("GET /readyz")
    assert [line["event"] for line in lines_of(out)] == ["GET /readyz"]


def test_level_is_kept() -> None:
    out = io.StringIO()
    configure_logging(service="api", level="WARNING", stream=out)
    structlog.get_logger().info("no")
    structlog.get_logger().warning("yes")
    assert [line["event"] for line in lines_of(out)] == ["yes"]


@pytest.mark.parametrize(
    ("log_format", "level", "named"),
    [("xml", "INFO", "LOG_FORMAT"), ("json", "LOUD", "LOG_LEVEL")],
)
def test_a_wrong_choice_is_named(log_format: str, level: str, named: str) -> None:
    with pytest.raises(ValueError, match=f"{named}: expected one of .* found "):
        configure_logging(service="api", log_format=log_format, level=level)


CRASHES = {
    "main": "raise RuntimeError(KEY)",
    "thread": "t = threading.Thread(target=lambda: 1 / 0, name=KEY); t.start(); t.join();"
    "exec('def f(): raise RuntimeError(KEY)');"
    "t = threading.Thread(target=f); t.start(); t.join()",
    "finalizer": "class F:\n def __del__(self): raise RuntimeError(KEY)\nF()",
    "interrupt": "raise KeyboardInterrupt",
}


@pytest.mark.parametrize("crash", sorted(CRASHES))
def test_last_words_pass_the_redactor(crash: str) -> None:
    program = (
        "import threading\nfrom process.logging import configure_logging\n"
        f"configure_logging(service='worker')\nKEY = {CANARY!r}\n{CRASHES[crash]}\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    lines = [json.loads(line) for line in ended.stderr.splitlines()]
    assert CANARY not in ended.stderr
    if crash == "interrupt":
        assert lines[-1]["event"] == "interrupted"
    else:
        assert lines[-1]["event"] == "uncaught exception"
        assert REDACTED in lines[-1]["exception"]
