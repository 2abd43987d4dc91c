# SPDX-License-Identifier: GPL-3.0-or-later
"""Command line of the simulator: serve, keygen, behaviours."""

import argparse
import asyncio
import json
import os
import signal
import sys
from pathlib import Path

from sip_sim import behaviours, proof
from sip_sim.errors import SimulatorError
from sip_sim.message import Address
from sip_sim.server import Simulator


def _address(text: str) -> Address:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise argparse.ArgumentTypeError("give IP:PORT, such as 127.0.0.1:5062")
    return host.strip("[]"), int(port)


def _ports(text: str) -> tuple[int, int]:
    low, _, high = text.partition("-")
    if not low.isdecimal() or not high.isdecimal():
        raise argparse.ArgumentTypeError("give LOW-HIGH, such as 42000-42999")
    return int(low), int(high)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sip_sim", description="Simulated callees over SIP.")
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser("serve", help="answer calls until SIGTERM or SIGINT")
    serve.add_argument("--listen", type=_address, default=("127.0.0.1", 5062), metavar="IP:PORT")
    serve.add_argument("--records", type=Path, required=True, metavar="DIR")
    serve.add_argument("--key", type=Path, metavar="FILE", help="private key of `keygen`")
    serve.add_argument("--behaviours", type=Path, default=behaviours.DEFAULT_FILE, metavar="FILE")
    serve.add_argument("--seed", type=int, default=1)
    serve.add_argument("--voices", type=Path, metavar="DIR", help="cache of rendered words")
    serve.add_argument("--rtp-ports", type=_ports, default=(42000, 42999), metavar="LOW-HIGH")
    serve.add_argument("--ready-file", type=Path, metavar="FILE")
    keygen = commands.add_parser("keygen", help="make sim.key and sim.pub")
    keygen.add_argument("--out", type=Path, required=True, metavar="DIR")
    listing = commands.add_parser("behaviours", help="what each number does")
    listing.add_argument("--behaviours", type=Path, default=behaviours.DEFAULT_FILE)
    return parser


async def _serve(arguments: argparse.Namespace) -> None:
    simulator = Simulator(
        records=arguments.records,
        listen=arguments.listen,
        key=proof.load(arguments.key) if arguments.key else None,
        behaviour_file=arguments.behaviours,
        seed=arguments.seed,
        voice_cache=arguments.voices,
        rtp_ports=arguments.rtp_ports,
    )
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with simulator:
        line = json.dumps({"event": "listening", "sip": simulator.own})
        print(line, flush=True)
        if arguments.ready_file:
            _write_ready(arguments.ready_file, line)
        await stop.wait()


def _write_ready(path: Path, line: str) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.write_text(line + "\n", "utf-8")
        os.replace(partial, path)
    except OSError as error:
        raise SimulatorError(
            f"cannot write {path} ({error.strerror}): choose another --ready-file"
        ) from None


def _list(path: Path) -> None:
    for name, behaviour in sorted(behaviours.load(path).items()):
        print(f"{name}  {behaviour.title}")


def main() -> int:
    """Run one command; 0 on success, 2 with one line on stderr otherwise."""
    arguments = _parser().parse_args()
    try:
        if arguments.command == "serve":
            asyncio.run(_serve(arguments))
        elif arguments.command == "keygen":
            for path in proof.generate(arguments.out):
                print(path)
        else:
            _list(arguments.behaviours)
    except SimulatorError as error:
        print(f"sip_sim: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
