"""Runs the scenarios against `ringfence exchange`: one exchange for each, so that balances and limits are its own, and two at
a time. Prints what they print; the exit code is 0 only when every scenario ended with 0.

    run.py BINARY PYTHON APART [scenario …]    APART: the folder with the clients that need a folder of their own
"""

import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from Crypto.PublicKey import ECC

HERE = Path(__file__).parent
# Name of the scenario's file, and the client that must be on the path although others share its package's name.
SCENARIOS = {
    "ccxt_spot": None,
    "ccxt_usdm": None,
    "ccxt_pro_spot": None,
    "ccxt_pro_usdm": None,
    "python_binance_spot": "python-binance",
    "python_binance_usdm": "python-binance",
    "python_binance_async": "python-binance",
    "binance_connector_spot": "binance-connector",
    "binance_connector_usdm": "binance-futures-connector",
    "sdk_spot": None,
    "sdk_usdm": None,
    "ed25519": "python-binance",
    "pybotters_stores": None,
}
# The slowest takes about fifteen seconds alone; a hang must not eat a CI run.
SCENARIO_SECONDS = 90
# An exchange prints its line within a second; a loaded machine gets more.
START_SECONDS = 60
PARALLEL = 2

# 64 characters as the venue's own have; nothing here is secret.
ACCOUNTS = {"clients": ("ClientsKey" * 7)[:64], "other": ("OtherOther" * 7)[:64]}
# An account with a key pair instead of a secret.
SIGNING = ECC.construct(curve="Ed25519", seed=bytes(range(32)))
FUNDS = ("USDT=100000", "BTC=50")


def main():
    binary, python, apart, *chosen = sys.argv[1:]
    unknown = set(chosen) - set(SCENARIOS)
    if unknown:
        sys.exit(f"expected scenarios among {', '.join(SCENARIOS)}, found {', '.join(sorted(unknown))}")
    names = chosen or list(SCENARIOS)
    started = time.monotonic()
    with ThreadPoolExecutor(PARALLEL) as pool:
        ended = list(pool.map(lambda name: scenario(name, Path(binary), python, Path(apart)), names))
    failed = [name for name, good in zip(names, ended) if not good]
    print(f"\nclients: {len(names) - len(failed)} of {len(names)} scenarios passed in {time.monotonic() - started:.0f} s", flush=True)
    if failed:
        sys.exit(f"expected every scenario to pass, found failures in {', '.join(failed)}")


def scenario(name, binary, python, apart):
    """True when every step held and the exchange ended in order."""
    with tempfile.TemporaryDirectory(prefix="ringfence-clients-") as folder:
        exchange, announced = start_exchange(binary, folder)
        try:
            if announced is None:
                output, good = f"FAILED  {name}: expected the exchange's line within {START_SECONDS} s, found none\n", False
            else:
                output, good = run_scenario(name, python, apart, announced)
        finally:
            end, errors = stop_exchange(exchange)
        if end != 0 or "panicked" in errors:
            good = False
            output += f"FAILED  {name}: expected the exchange to end with 0 and without a panic, found {end}\n"
        if not good:
            output += "".join(f"    exchange: {line}\n" for line in errors.splitlines()[-20:])
    sys.stdout.write(output)
    sys.stdout.flush()
    return good


def start_exchange(binary, folder):
    """The process, and the one JSON line with which it says that it is ready."""
    command = [str(binary), "exchange", "--spot", "127.0.0.1:0", "--usdm", "127.0.0.1:0", "--json"]
    for fund in FUNDS:
        command += ["--fund", fund]
    for name, key in ACCOUNTS.items():
        command += ["--key", f"{name}:{key}:{key[::-1]}"]
    command += ["--key", f"signing:{('SigningKey' * 7)[:64]}:{SIGNING.public_key().export_key(format='PEM')}"]
    errors = open(Path(folder) / "stderr", "w")
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=errors, text=True)
    process.errors = errors
    lines = queue.Queue()
    threading.Thread(target=lambda: lines.put(process.stdout.readline()), daemon=True).start()
    try:
        line = lines.get(timeout=START_SECONDS)
    except queue.Empty:
        line = ""
    return process, line if line.startswith("{") and json.loads(line) else None


def run_scenario(name, python, apart, announced):
    paths = [str(HERE)] + ([str(apart / SCENARIOS[name])] if SCENARIOS[name] else [])
    environment = os.environ | {
        "CLIENTS_EXCHANGE": announced,
        "CLIENTS_ED25519": SIGNING.export_key(format="PEM"),
        "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [python, str(HERE / f"{name}.py")]
    try:
        ended = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=SCENARIO_SECONDS)
    except subprocess.TimeoutExpired as hang:
        said = hang.stdout.decode() if isinstance(hang.stdout, bytes) else hang.stdout or ""
        return said + f"FAILED  {name}: expected an end within {SCENARIO_SECONDS} s, found none\n", False
    return ended.stdout, ended.returncode == 0


def stop_exchange(process):
    """Its exit code after the signal that asks it to stop, and what it wrote to stderr."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        code = process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        code = f"no end within 10 s of SIGTERM ({process.wait()})"
    process.errors.close()
    return code, Path(process.errors.name).read_text()


if __name__ == "__main__":
    main()
