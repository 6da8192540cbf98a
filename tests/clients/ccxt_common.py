"""What ccxt's scenarios of both products share: keys, signatures and clocks that the venue refuses, in ccxt's classes."""

import time

import ccxt

from support.steps import refused


def refuses_keys_and_clocks(steps, client, account):
    """`client` makes one with another key or secret; `account` asks a signed question."""
    with steps("keys, signatures and clocks are refused with ccxt's classes"):
        with refused("unknown key", ccxt.AuthenticationError, "-2015"):
            account(client(key="k" * 64))
        with refused("malformed key", ccxt.AuthenticationError, "-2014"):
            account(client(key="short"))
        with refused("bad signature", ccxt.AuthenticationError, "-1022"):
            account(client(secret="s" * 64))
        for what, off in (("clock behind", -60_000), ("clock ahead", 5_000)):
            skewed = client()
            skewed.nonce = lambda: int(time.time() * 1000) + off
            with refused(what, ccxt.InvalidNonce, "-1021"):
                account(skewed)
