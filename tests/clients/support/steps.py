"""The runner of one scenario: each step prints one line and the scenario's exit code tells whether all held.

A step that fails does not stop the scenario, so that one run shows every gap; a step that misses what an earlier one was to
bring says so. Nothing here knows any client or any venue.
"""

import asyncio
import signal
import sys
import time
import traceback
from contextlib import asynccontextmanager, contextmanager
from decimal import Decimal

# A client waits a few seconds at most for anything on loopback; more is a hang and must not eat the whole run's time.
STEP_SECONDS = 15


class Mismatch(Exception):
    """Something a user would notice: what it is about, what was expected, what was found."""

    def __init__(self, what, expected, found):
        super().__init__(f"{what}: expected {expected}, found {found}")


class StepTimeout(Exception):
    """The step's time is over."""


class Steps:
    """The steps of one scenario, in order: `with steps("…"):` around calls that block, `async with steps.waiting("…"):` in
    coroutines. The former's time is kept by an alarm, which would tear an event loop down; the latter's by the loop."""

    def __init__(self, scenario):
        self.scenario = scenario
        self.passed = 0
        self.failed = 0
        self.skipped = 0

    @contextmanager
    def __call__(self, name, seconds=STEP_SECONDS):
        start = time.monotonic()
        signal.signal(signal.SIGALRM, _expire)
        signal.setitimer(signal.ITIMER_REAL, seconds)
        try:
            yield
        except Exception as error:
            self._fail(name, error, seconds)
        else:
            self._pass(name, start)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)

    @asynccontextmanager
    async def waiting(self, name, seconds=STEP_SECONDS):
        start = time.monotonic()
        try:
            async with asyncio.timeout(seconds):
                yield
        except TimeoutError as error:
            self._fail(name, StepTimeout().with_traceback(error.__traceback__), seconds)
        except Exception as error:
            self._fail(name, error, seconds)
        else:
            self._pass(name, start)

    def skip(self, name, reason):
        self.skipped += 1
        self._say("skipped", name, reason)

    def finish(self):
        """The scenario's last line and its exit code."""
        print(f"{self.scenario}: {self.passed} ok, {self.failed} failed, {self.skipped} skipped", flush=True)
        sys.exit(1 if self.failed or not self.passed else 0)

    def _pass(self, name, start):
        self.passed += 1
        self._say("ok", name, f"{(time.monotonic() - start) * 1000:.0f} ms")

    def _fail(self, name, error, seconds):
        self.failed += 1
        self._say("FAILED", name, _explain(error, seconds))

    def _say(self, outcome, name, detail):
        print(f"{outcome:<7} {self.scenario}: {name} ({detail})", flush=True)


def _expire(_signal, _frame):
    raise StepTimeout


def _explain(error, seconds):
    if isinstance(error, Mismatch):
        return str(error)
    if isinstance(error, StepTimeout):
        return f"expected an end within {seconds} s, found none: {_place(error)}"
    if isinstance(error, NameError):
        return f"needs what an earlier step was to bring: {error}"
    return f"expected no error, found {type(error).__name__}: {_short(error)} {_place(error)}"


def _place(error):
    """The scenario's own line, not the library's: it is the first frame beside this file."""
    for frame in traceback.extract_tb(error.__traceback__):
        if "/tests/clients/" in frame.filename and "/support/steps" not in frame.filename:
            return f"at {frame.filename.rsplit('/', 1)[-1]}:{frame.lineno}"
    return ""


def _short(error, length=500):
    text = " ".join(str(error).split())
    return text if len(text) <= length else text[:length] + "…"


def same(what, found, expected):
    """Equal, of whatever type."""
    if found != expected:
        raise Mismatch(what, repr(expected), repr(found))


def exact(what, found, expected):
    """Equal to the last digit: both sides as decimals, so that "1.0" and "1.00000000" are the same money."""
    if decimal(found) != decimal(expected):
        raise Mismatch(what, decimal(expected), found)


def holds(what, condition, expected, found):
    if not condition:
        raise Mismatch(what, expected, repr(found))


def has(what, mapping, *keys):
    """Every key is there, with something in it."""
    missing = [key for key in keys if mapping.get(key) is None]
    if missing:
        raise Mismatch(what, f"the fields {', '.join(keys)}", f"{', '.join(missing)} missing in {sorted(mapping)}")


@contextmanager
def refused(what, error_class, *words):
    """The block raises `error_class`, and each of `words` (codes, the venue's text) stands in the error."""
    try:
        yield
    except StepTimeout:
        raise
    except error_class as error:
        text = f"{error} {vars(error)}"
        for word in words:
            if str(word) not in text:
                raise Mismatch(what, f"{error_class.__name__} with {word}", _short(text)) from error
    except Exception as error:
        raise Mismatch(what, error_class.__name__, f"{type(error).__name__}: {_short(error)}") from error
    else:
        raise Mismatch(what, error_class.__name__, "no error")


def decimal(value):
    """Floats come from clients that make them; their shortest text is what the wire said."""
    return value if isinstance(value, Decimal) else Decimal(str(value))


def total(values):
    return sum((decimal(value) for value in values), Decimal(0))
