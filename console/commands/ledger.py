# SPDX-License-Identifier: GPL-3.0-or-later
"""`candor ledger`: the verifiable ledger."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from compliance.errors import BadInput, Corrupt
from console import anchor_states, homes, run
from console.commands.common import (
    DEFAULT_HOME,
    HomeOption,
    JsonOption,
    errors,
    group,
    passphrase,
    print_json,
    say,
)
from console.messages import text
from storage import ledger, proofs
from storage.anchors import FolderAnchor
from storage.stamps import Stamp, TimeStamps

ledger_app = group("The verifiable ledger.")


@ledger_app.command("export")
def ledger_export(file: Path, home: HomeOption = DEFAULT_HOME) -> None:
    """Write the whole ledger to a file that ``verify.py`` checks on any machine.

    Example: candor ledger export ledger.jsonl
    """
    with homes.opened(home, passphrase()) as it:
        homes.signed_in(it)
        run.sequence(it)
        it.sequencer().checkpoint(it.clock.wall(), force=True)
        count = ledger.export(it.engine, file)
        say(it, "done.ledger_exported", entries=count, file=file)


@ledger_app.command("key")
def ledger_key(home: HomeOption = DEFAULT_HOME) -> None:
    """Print the fingerprint of the key that signs checkpoints, to be kept elsewhere.

    Example: candor ledger key
    """
    with homes.opened(home, passphrase()) as it:
        typer.echo(it.keyring.fingerprint())


@ledger_app.command("checkpoint")
def ledger_checkpoint(home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """Give every entry its place, sign the tree and take the checkpoint to the anchors, now.

    Example: candor ledger checkpoint
    """
    with homes.opened(home, passphrase()) as it:
        it.store.journal.ask_checkpoint(homes.signed_in(it))
        run.sequence(it)
        sequencer = it.sequencer()
        signed = sequencer.checkpoint(it.clock.wall(), force=True)
        assert signed is not None  # the request itself is a new entry
        behind = list(sequencer.behind)
        if as_json:
            print_json(
                {
                    "origin": signed.origin,
                    "size": signed.size,
                    "root": signed.root.hex(),
                    "key": it.keyring.fingerprint(),
                    "anchors_behind": behind,
                }
            )
        else:
            say(it, "done.checkpoint", size=signed.size, root=signed.root.hex())
            if behind:
                say(it, "done.checkpoint_behind", anchors=", ".join(behind))


@ledger_app.command("stamp")
def ledger_stamp(
    check: Annotated[
        bool, typer.Option("--check", help="Ask nobody: check every time stamp there is.")
    ] = False,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Have the newest checkpoint stamped by the time-stamping authority of [timestamps] (RFC 3161).

    A running `candor dial` does it once an hour. --check leaves with 1 if a stamp is not valid.

    Example: candor ledger stamp --check
    """
    with homes.opened(home, passphrase()) as it:
        homes.signed_in(it)
        stamps = it.home.open_timestamps()
        if stamps is None:
            raise BadInput(
                "no time-stamping authority is configured",
                field="timestamps.url",
                remedy="name one under [timestamps] in candor.toml",
            )
        if check:
            _check_stamps(it, stamps, as_json)
            return
        run.sequence(it)
        it.sequencer().checkpoint(it.clock.wall(), force=True)
        stamp = stamps.stamp_newest()
        if as_json:
            print_json(_stamp_json(stamp) if stamp else {})
        elif stamp is None:
            say(it, "stamp.nothing")
        else:
            say(it, "stamp.done", size=stamp.size, at=stamp.at, path=stamp.path.name)


def _check_stamps(it: homes.Opened, stamps: TimeStamps, as_json: bool) -> None:
    found, faults = [], []
    for path in stamps.stamps():
        try:
            found.append(stamps.check(path))
        except Corrupt as error:
            faults.append(error.detail)
    if as_json:
        print_json({"valid": [_stamp_json(stamp) for stamp in found], "faults": faults})
    else:
        for stamp in found:
            say(it, "stamp.valid", size=stamp.size, at=stamp.at)
        for fault in faults:
            say(it, "stamp.invalid", cause=fault)
    if faults:
        raise typer.Exit(1)


def _stamp_json(stamp: Stamp) -> dict[str, object]:
    return {"size": stamp.size, "at": stamp.at, "file": str(stamp.path)}


@ledger_app.command("prove")
def ledger_prove(
    entry: Annotated[str, typer.Argument(help="Its index, or its leaf hash.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="A .tlog-proof file; left out: the screen."),
    ] = None,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Prove that one entry is in the signed ledger, without giving away the others.

    Writes a C2SP tlog-proof. Check it on any machine: python verify.py FILE --key FINGERPRINT

    Example: candor ledger prove 17 -o entry-17.tlog-proof
    """
    if output is not None and output.suffix != ".tlog-proof":
        raise BadInput("a proof is a .tlog-proof file", field="--output")
    with homes.opened(home, passphrase()) as it:
        homes.signed_in(it)
        run.sequence(it)
        it.sequencer().checkpoint(it.clock.wall(), force=True)
        index, proof = proofs.inclusion_proof(it.engine, entry)
        if as_json:
            print_json({"index": index, "proof": proof, "key": it.keyring.fingerprint()})
        elif output is None:
            typer.echo(proof, nl=False)
        else:
            output.write_text(proof, "utf-8")
            say(it, "done.proof", path=output)


@ledger_app.command("consistency")
def ledger_consistency(
    old: Annotated[str, typer.Argument(help="Size of a checkpoint, or a file with its note.")],
    new: Annotated[
        int | None, typer.Argument(help="Size of a later checkpoint; left out: the newest.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="A .json file; left out: the screen.")
    ] = None,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Prove that the ledger only grew between two checkpoints: nothing was taken or changed.

    Check it on any machine: python verify.py FILE --key FINGERPRINT

    Example: candor ledger consistency checkpoint-00000000000000000120.note -o grown.json
    """
    if output is not None and output.suffix != ".json":
        raise BadInput("this proof is a .json file", field="--output")
    path = Path(old)
    given = path.read_text("utf-8") if path.is_file() else old
    with homes.opened(home, passphrase()) as it:
        homes.signed_in(it)
        proof = proofs.consistency_proof(it.engine, given, new)
        if as_json:
            print_json({"proof": json.loads(proof), "key": it.keyring.fingerprint()})
        elif output is None:
            typer.echo(proof.decode(), nl=False)
        else:
            output.write_bytes(proof)
            say(it, "done.proof", path=output)


@ledger_app.command("verify")
def ledger_verify(
    file: Annotated[
        Path | None,
        typer.Argument(
            help="An exported ledger, an evidence pack or a proof; left out: this home's own."
        ),
    ] = None,
    key: Annotated[
        str, typer.Option(help="Key file or fingerprint of the signer, from elsewhere.")
    ] = "",
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Check a ledger with the independent verifier.

    With FILE no home is needed. Without, this home's ledger is exported to a temporary file
    and checked with its key, its anchors and its sealed recordings.

    Exit code 0 valid, 1 invalid, 2 unusable input, 3 consistent but the signer is unproven.

    Example: candor ledger verify ledger.jsonl --key ed25519:…
    """
    more = ["--json"] if as_json else []
    if file is not None:
        raise typer.Exit(run.verify(file, key, *more))
    with homes.opened(home, passphrase()) as it, tempfile.TemporaryDirectory() as folder:
        homes.signed_in(it)
        run.sequence(it)
        it.sequencer().checkpoint(it.clock.wall())
        export = Path(folder) / "ledger.jsonl"
        ledger.export(it.engine, export)
        anchors = FolderAnchor(it.home.anchors).beside  # a restored home's newest branch
        more += ["--checkpoint", str(anchors)]
        for note in _outside(it, Path(folder)):
            more += ["--checkpoint", str(note)]
        if not it.home.remote:  # the verifier reads folders alone
            more += ["--objects", str(it.home.objects)]
        raise typer.Exit(run.verify(export, key or it.keyring.fingerprint(), *more))


def _outside(it: homes.Opened, folder: Path) -> list[Path]:
    """The newest note of each further anchor as a file; one that has none is told about."""
    notes = []
    for state in anchor_states.states(it.engine, it.anchors[1:], it.clock.wall()):
        if state.note:
            notes.append(folder / f"{state.name.replace('/', '-')}.note")
            notes[-1].write_text(state.note, "utf-8")
        if state.cause or state.lacks:
            case = "anchors.away" if state.cause else "anchors.behind"
            language = it.home.settings.language
            told = text(case, language, anchor=state.name, cause=state.cause, count=state.lacks)
            errors.print(told, style="yellow", highlight=False, soft_wrap=True)
    return notes
