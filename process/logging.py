"""One way to log for every process: structured lines on stderr, standard logging included.

`configure_logging` is called once, by a composition root. The redactor is the last step before a
line is rendered, for our own loggers and for every library's alike.
"""

import logging
import sys
import threading
from collections.abc import MutableMapping
from contextvars import Token
from types import TracebackType
from typing import Any, Final, Self, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from process.redaction import escape_controls, redact_field, redact_text

LOG_FORMATS: Final = ("json", "console")
LOG_LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")

# Libraries whose debug lines show headers, bodies or statements with their values.
_NEVER_BELOW_WARNING: Final = (
    "aiohttp",
    "aiosqlite",
    "asyncio",
    "grpc",
    "h2",
    "hpack",
    "httpcore",
    "httpcore2",
    "httpx",
    "httpx2",
    "picows",
    "sqlalchemy",
    "urllib3",
    "websockets",
)
# Libraries that bring handlers of their own, which would pass the redactor by.
_OWN_HANDLERS: Final = ("uvicorn", "uvicorn.access", "uvicorn.error", "fastapi", "alembic")

# What a reader looks for comes first on the line.
_FIRST: Final = ("timestamp", "level", "service", "logger", "event")

_CONTEXT_NAMES: Final = ("request_id", "order_id", "workflow_id", "account_id", "venue")


def configure_logging(
    *, service: str, log_format: str = "json", level: str = "INFO", stream: TextIO | None = None
) -> None:
    """Send every log line of this process, redacted, to stderr (or `stream`).

    `service` is the process's name and part of each line. Raises `ValueError` for a format other
    than `json` or `console` and for an unknown level.
    """
    if log_format not in LOG_FORMATS:
        raise ValueError(f"LOG_FORMAT: expected one of {LOG_FORMATS}, found {log_format!r}")
    level_name = level.upper()
    if level_name not in LOG_LEVELS:
        raise ValueError(f"LOG_LEVEL: expected one of {LOG_LEVELS}, found {level!r}")
    out = sys.stderr if stream is None else stream
    level_number = logging.getLevelNamesMapping()[level_name]

    shared = _shared_processors(service)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level_number),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(), _drop_colored_copy, *shared],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                redact_event,
                _renderer(log_format, out),
            ],
        )
    )
    _route_standard_logging(handler, level_number)
    _route_uncaught_exceptions()


class BoundContext:
    """Undoes one `bind_context` when left as a context manager; may also simply be dropped."""

    def __init__(self, tokens: dict[str, Token[Any]]) -> None:
        self._tokens = tokens

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        structlog.contextvars.reset_contextvars(**self._tokens)


def bind_context(
    *,
    request_id: str | None = None,
    order_id: str | None = None,
    workflow_id: str | None = None,
    account_id: str | None = None,
    venue: str | None = None,
) -> BoundContext:
    """Add these to every line logged by the current task from now on.

    Used as `with bind_context(order_id=...):` it is undone at the end of the block; called plainly
    it lasts as long as the task. `None` leaves what is already bound.
    """
    given = (request_id, order_id, workflow_id, account_id, venue)
    named = zip(_CONTEXT_NAMES, given, strict=True)
    values = {name: value for name, value in named if value is not None}
    return BoundContext(dict(structlog.contextvars.bind_contextvars(**values)))


def redact_event(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Redact a whole event; the last processor before the renderer."""
    names = [name for name in _FIRST if name in event]
    names += [name for name in event if name not in _FIRST]
    return {
        escape_controls(redact_text(str(name))): redact_field(str(name), event[name])
        for name in names
    }


def _shared_processors(service: str) -> list[Processor]:
    def add_service(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event.setdefault("service", service)
        return event

    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        add_service,
        structlog.processors.StackInfoRenderer(),
        # Plain tracebacks: they show no local variables, where keys would be.
        structlog.processors.format_exc_info,
        structlog.processors.UnicodeDecoder(),
    ]


def _drop_colored_copy(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Uvicorn sends each message a second time, with terminal colours."""
    event.pop("color_message", None)
    return event


def _renderer(log_format: str, out: TextIO) -> Processor:
    if log_format == "json":
        return structlog.processors.JSONRenderer(sort_keys=False)
    console = structlog.dev.ConsoleRenderer(
        colors=out.isatty(),
        exception_formatter=structlog.dev.plain_traceback,
    )

    def render(logger: WrappedLogger, method: str, event: MutableMapping[str, Any]) -> str:
        return str(console(logger, method, event))

    return render


def _route_standard_logging(handler: logging.Handler, level_number: int) -> None:
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level_number)
    for name in _NEVER_BELOW_WARNING:
        logging.getLogger(name).setLevel(max(level_number, logging.WARNING))
    for name in _OWN_HANDLERS:
        library = logging.getLogger(name)
        library.handlers.clear()
        library.propagate = True
    logging.captureWarnings(True)


def _route_uncaught_exceptions() -> None:
    """Let the interpreter's own last words pass through the redactor too."""
    log = logging.getLogger("process")

    def uncaught(
        kind: type[BaseException], error: BaseException, traceback: TracebackType | None
    ) -> None:
        if issubclass(kind, KeyboardInterrupt):
            log.warning("interrupted")
            return
        log.critical("uncaught exception", exc_info=(kind, error, traceback))

    def uncaught_in_thread(arguments: threading.ExceptHookArgs) -> None:
        if arguments.exc_value is not None:
            uncaught(arguments.exc_type, arguments.exc_value, arguments.exc_traceback)

    def unraisable(arguments: "sys.UnraisableHookArgs") -> None:
        if arguments.exc_value is not None:
            uncaught(arguments.exc_type, arguments.exc_value, arguments.exc_traceback)

    sys.excepthook = uncaught
    threading.excepthook = uncaught_in_thread
    sys.unraisablehook = unraisable
