"""The exchange under test, as it announced itself, and its accounts without any client: nothing but HTTP and HMAC, so that
no client is tested against itself."""

import hashlib
import hmac
import json
import os
import time
from decimal import ROUND_DOWN, Decimal
from urllib.parse import urlencode

import requests

from support.steps import Mismatch, holds

PRODUCTS = {"spot": "/api/v3", "usdm": "/fapi/v1"}
REST_TRIES = 10
# More than ours, so that what others quote before us does not keep us from being filled; all tries together stay within what
# the other account has.
REST_SOLD = "2"
# The synthetic market trades several times a second.
OPENING_SECONDS = 20


class Venue:
    """URLs and keys of one product ("spot" or "usdm"), from the line that the exchange printed."""

    def __init__(self, product):
        announced = json.loads(os.environ["CLIENTS_EXCHANGE"])
        self.product = product
        self.rest = announced[product]["rest"]
        self.ws = announced[product]["ws"]
        self.ws_api = announced[product]["ws_api"]
        self.accounts = {account["name"]: account for account in announced["accounts"]}
        self.key = self.accounts["clients"]["api_key"]
        self.secret = self.accounts["clients"]["api_secret"]
        self.own = Account(self, "clients")
        self.other = Account(self, "other")
        self._await_trades()

    def _await_trades(self):
        """A market that has just opened has candles of the past, but no trades yet; scenarios ask for five."""
        deadline = time.monotonic() + OPENING_SECONDS
        while len(self.get("/aggTrades", symbol="BTCUSDT", limit=5)) < 5:
            if time.monotonic() > deadline:
                raise Mismatch("trades of BTCUSDT", f"five within {OPENING_SECONDS} s", "fewer")
            time.sleep(0.1)

    def get(self, path, **parameters):
        """Something public, without any client."""
        answer = requests.get(self.rest + PRODUCTS[self.product] + path, params=parameters, timeout=5)
        answer.raise_for_status()
        return answer.json()

    def rules(self, symbol):
        """Steps of a symbol, as decimals."""
        (row,) = [row for row in self.get("/exchangeInfo", symbol=symbol)["symbols"] if row["symbol"] == symbol]
        filters = {item["filterType"]: item for item in row["filters"]}
        return Decimal(filters["PRICE_FILTER"]["tickSize"]), Decimal(filters["LOT_SIZE"]["stepSize"])

    def touch(self, symbol):
        """Best bid and best ask."""
        row = self.get("/ticker/bookTicker", symbol=symbol)
        return Decimal(row["bidPrice"]), Decimal(row["askPrice"])

    def away(self, symbol, factor):
        """A price at `factor` of the bid, on the grid: far enough to rest, near enough for the price bands."""
        tick, _ = self.rules(symbol)
        bid, _ = self.touch(symbol)
        return (bid * Decimal(str(factor)) / tick).to_integral_value(ROUND_DOWN) * tick

    def rest_and_be_hit(self, symbol, place, is_filled, cancel):
        """A buy of ours at the touch, sold into by the other account: the order and its price. The market moves on by itself,
        so a post-only order may come too late, and one that rests may be missed: it is then made again."""
        tick, _ = self.rules(symbol)
        last = None
        for _ in range(REST_TRIES):
            bid, ask = self.touch(symbol)
            price = bid + tick if bid + tick < ask else bid
            try:
                order = place(price)
            except Exception as error:
                last = error
                continue
            self.other.order(symbol=symbol, side="SELL", type="LIMIT", timeInForce="IOC", quantity=REST_SOLD, price=price)
            if not is_filled(order):
                try:
                    cancel(order)
                    continue
                except Exception:
                    # Filled in between, by the market itself; anything else is the test's failure.
                    if not is_filled(order):
                        raise
            return order, price
        raise Mismatch("a resting order that another account sells into", f"filled in one of {REST_TRIES} tries", f"none; the last refusal: {last}")


def depth(book, limit):
    """A book of at most `limit` levels. The synthetic market is thin for moments after it jumped; half of them are always there."""
    for side in ("bids", "asks"):
        holds(f"levels of {side}", limit // 2 <= len(book[side]) <= limit, f"{limit // 2} to {limit}", len(book[side]))


class Account:
    """"clients" is what the scenarios trade with, "other" trades against it."""

    def __init__(self, venue, name):
        self.venue = venue
        self.name = name

    def order(self, **parameters):
        return self._signed("POST", "/order", parameters)

    def cancel_all(self, symbol):
        path = "/openOrders" if self.venue.product == "spot" else "/allOpenOrders"
        return self._signed("DELETE", path, {"symbol": symbol})

    def _signed(self, method, path, parameters):
        account = self.venue.accounts[self.name]
        query = urlencode(parameters | {"timestamp": int(time.time() * 1000)})
        signature = hmac.new(account["api_secret"].encode(), query.encode(), hashlib.sha256).hexdigest()
        url = f"{self.venue.rest}{PRODUCTS[self.venue.product]}{path}?{query}&signature={signature}"
        answer = requests.request(method, url, headers={"X-MBX-APIKEY": account["api_key"]}, timeout=5)
        if answer.status_code >= 400:
            raise AssertionError(f"{self.name}'s {method} {path} was refused: {answer.text}")
        return answer.json()


def plain(value):
    """A decimal as an order carries it: no exponent."""
    return format(Decimal(str(value)), "f")
