"""ccxt against the exchange: nothing but base URLs and documented options is set."""

import ccxt
import ccxt.pro


def spot(venue, module=ccxt, key=None, secret=None):
    exchange = module.binance(_account(venue, key, secret) | {"options": {"fetchMarkets": {"types": ["spot"]}}})
    api = exchange.urls["api"]
    for name in ("public", "private"):
        api[name] = venue.rest + "/api/v3"
    _sapi(api, venue.rest)
    if "ws" in api:
        api["ws"]["spot"] = venue.ws + "/ws"
        api["ws"]["ws-api"]["spot"] = venue.ws_api
    return exchange


def usdm(venue, module=ccxt, key=None, secret=None):
    exchange = module.binanceusdm(_account(venue, key, secret))
    api = exchange.urls["api"]
    for name, version in (("", "v1"), ("V2", "v2"), ("V3", "v3")):
        for access in ("fapiPublic", "fapiPrivate"):
            api[access + name] = f"{venue.rest}/fapi/{version}"
    _sapi(api, venue.rest)
    if "ws" in api:
        api["ws"]["linear"] = venue.ws + "/ws"
        api["ws"]["ws-api"]["linear"] = venue.ws_api
    return exchange


def _account(venue, key, secret):
    # The exchange keeps the venue's own limits; ccxt's throttle would only make the run longer.
    return {"apiKey": key or venue.key, "secret": secret or venue.secret, "enableRateLimit": False, "timeout": 5000}


def _sapi(api, rest):
    for name, version in (("sapi", "v1"), ("sapiV2", "v2"), ("sapiV3", "v3"), ("sapiV4", "v4")):
        api[name] = f"{rest}/sapi/{version}"
