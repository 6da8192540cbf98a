"""python-binance against the exchange: its base URLs are attributes of its classes, meant to be set."""

import warnings

# The library imports a name that websockets has deprecated.
warnings.filterwarnings("ignore", category=DeprecationWarning)

from binance.base_client import BaseClient  # noqa: E402
from binance.ws.streams import BinanceSocketManager  # noqa: E402


def point_at(spot=None, usdm=None):
    if spot:
        BaseClient.API_URL = spot.rest + "/api"
        BaseClient.MARGIN_API_URL = spot.rest + "/sapi"
        BaseClient.WS_API_URL = spot.ws_api
        BinanceSocketManager.STREAM_URL = spot.ws + "/"
    if usdm:
        BaseClient.FUTURES_URL = usdm.rest + "/fapi"
        BaseClient.FUTURES_DATA_URL = usdm.rest + "/futures/data"
        BaseClient.WS_FUTURES_URL = usdm.ws_api
        BinanceSocketManager.FSTREAM_URL = usdm.ws + "/"
