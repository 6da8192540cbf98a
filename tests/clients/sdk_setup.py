"""Binance's modular SDK: it validates each answer and event against the venue's published types, and only logs when one does
not fit. Here that is a failure: `declared_types` collects what it says."""

import logging
from contextlib import contextmanager

from binance_common.configuration import ConfigurationRestAPI, ConfigurationWebSocketAPI, ConfigurationWebSocketStreams

from support.steps import Mismatch

COMPLAINTS = ("did not match the declared types", "Failed to parse", "Unknown user data event", "Error in callback")


class _Collector(logging.Handler):
    def __init__(self):
        super().__init__(logging.WARNING)
        self.complaints = []

    def emit(self, record):
        text = record.getMessage()
        if any(words in text for words in COMPLAINTS):
            self.complaints.append(" ".join(text.split())[:400])


_COLLECTOR = _Collector()
logging.getLogger().addHandler(_COLLECTOR)


@contextmanager
def declared_types():
    """The block's answers fit the types that the venue declares."""
    _COLLECTOR.complaints.clear()
    yield
    if _COLLECTOR.complaints:
        raise Mismatch("types of answers", "those that the SDK declares", " | ".join(_COLLECTOR.complaints))


def configurations(venue, key=None, secret=None):
    keys = {"api_key": key or venue.key, "api_secret": secret or venue.secret}
    return {
        "config_rest_api": ConfigurationRestAPI(base_path=venue.rest, timeout=5000, retries=0, **keys),
        "config_ws_api": ConfigurationWebSocketAPI(stream_url=venue.ws_api, **keys),
        "config_ws_streams": ConfigurationWebSocketStreams(stream_url=venue.ws),
    }


def kind_and_fields(event):
    """A user event as the SDK found it: the model that it chose (it drops the field `e`) and the fields."""
    found = event.actual_instance
    return type(found).__name__, found.to_dict()
