# SPDX-License-Identifier: GPL-3.0-or-later
"""The independent verifier against every way of tampering we could think of (P5, experiment 23)."""

from __future__ import annotations

import ast
import base64
import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session

from storage import ledger, merkle, verify
from storage.base import Base
from storage.checkpoint import Checkpoint, sign_note, verifier_key
from storage.database import make_engine
from storage.keys import FileKeyring
from storage.ledger import FolderAnchor, Sequencer
from storage.objects import FolderObjects
from storage.recordings import RecordingWriter

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
ORIGIN = "candor.example/ledger"
Lines = list[dict[str, Any]]


class Home:
    """A ledger of 43 entries over two nodes, two checkpoints, two sealed recordings."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.ring = FileKeyring.create(root / "keys.json")
        self.objects = FolderObjects(root / "objects")
        engine = make_engine(f"sqlite:///{root / 'ledger.db'}")
        Base.metadata.create_all(engine)
        self.anchor = root / "anchor"
        sequencer = Sequencer(engine, self.ring, [FolderAnchor(self.anchor)], ORIGIN)
        for batch in range(2):
            with Session(engine) as session, session.begin():
                for i in range(20):
                    ledger.append(
                        session,
                        node=f"node-{(i // 2) % 2}",
                        kind="test.entry",
                        actor="a1",
                        at=NOW,
                        body={"i": i + 20 * batch},
                    )
                ledger.append(
                    session,
                    node="node-0",
                    kind="recording.sealed",
                    actor="system",
                    at=NOW,
                    body={"objects": self.record(f"call-{batch}")},
                )
            sequencer.run_once(NOW)
            assert sequencer.checkpoint(NOW, force=True)
        with Session(engine) as session, session.begin():
            ledger.append(session, node="node-1", kind="tail", actor="a1", at=NOW, body={})
        sequencer.run_once(NOW)
        self.export = root / "ledger.jsonl"
        ledger.export(engine, self.export)

    def record(self, call: str) -> list[list[str | int | bool]]:
        writer = RecordingWriter.create(
            self.objects, self.ring, tenant="t", call_id=call, recording_id=call
        )
        writer.write(b"\xd5" * 9000, b"\x2a" * 9000)
        return writer.close(keep_callee=True).ledger_objects()

    def lines(self) -> Lines:
        return [json.loads(line) for line in self.export.read_text().splitlines()]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("home"))


def write(path: Path, lines: Lines) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def content(line: dict[str, Any]) -> dict[str, Any]:
    return dict(json.loads(base64.b64decode(line["bytes"])))


def put(line: dict[str, Any], entry: dict[str, Any]) -> None:
    """Replace an entry's bytes as a careful forger would: every field beside them fits."""
    data = json.dumps(entry, sort_keys=True, separators=(",", ":")).encode()
    line["bytes"] = base64.b64encode(data).decode()
    line["leaf"] = merkle.leaf_hash(data).hex()
    line["prev"], line["seq"], line["node"] = entry["prev"], entry["seq"], entry["node"]


def rechain(lines: Lines) -> None:
    """Renumber all entries and remake every chain and the counts, as a thorough forger would."""
    tails: dict[str, tuple[int, str]] = {}
    entries = [line for line in lines if "entry" in line]
    for index, line in enumerate(entries):
        entry = content(line)
        seq, prev = tails.get(entry["node"], (0, "0" * 64))
        entry["seq"], entry["prev"] = seq + 1, prev
        put(line, entry)
        line["entry"] = index
        tails[entry["node"]] = (entry["seq"], line["leaf"])
    lines[0]["size"] = len(entries)
    lines[-1]["end"]["entries"] = len(entries)


def test_honest_export_is_valid(home: Home) -> None:
    report = verify.verify(
        home.export, home.ring.fingerprint(), [str(home.anchor)], home.root / "objects"
    )
    assert report.faults == []
    assert report.status == 0
    assert (report.entries, report.signed, report.checkpoints, report.objects) == (43, 42, 2, 4)
    assert report.notes == ["the last 1 entries wait for their checkpoint"]


def test_vector_of_the_format_document() -> None:
    vectors = Path(__file__).parents[2] / "vectors"
    key = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    report = verify.verify(vectors / "ledger.jsonl", key)
    assert (report.status, report.entries, report.signed) == (0, 5, 5)


# ---------------------------------------------------------------- tampering


def edit(lines: Lines) -> None:
    lines[8]["bytes"] = base64.b64encode(
        base64.b64decode(lines[8]["bytes"]).replace(b'"a1"', b'"a2"')
    ).decode()


def edit_with_leaf(lines: Lines) -> None:
    put(lines[8], content(lines[8]) | {"actor": "a2"})


def edit_side_field(lines: Lines) -> None:
    lines[8]["node"] = "node-9"


def edit_and_rechain(lines: Lines) -> None:
    edit_with_leaf(lines)
    rechain(lines)


def no_entry(lines: Lines) -> None:
    data = b"[]"
    lines[8]["bytes"], lines[8]["leaf"] = (
        base64.b64encode(data).decode(),
        merkle.leaf_hash(data).hex(),
    )


def delete(lines: Lines) -> None:
    del lines[8]


def delete_and_renumber(lines: Lines) -> None:
    del lines[8]
    for index, line in enumerate(line for line in lines if "entry" in line):
        line["entry"] = index
    lines[0]["size"] = lines[-1]["end"]["entries"] = 42


def delete_and_rechain(lines: Lines) -> None:
    del lines[8]
    rechain(lines)


def reorder(lines: Lines) -> None:
    lines[8], lines[12] = lines[12], lines[8]


def reorder_and_renumber(lines: Lines) -> None:
    lines[9], lines[10] = lines[10], lines[9]  # one node: its sequence shows it
    lines[9]["entry"], lines[10]["entry"] = 8, 9


def reorder_nodes_and_renumber(lines: Lines) -> None:
    lines[10], lines[11] = lines[11], lines[10]  # two nodes: only the root shows it
    lines[10]["entry"], lines[11]["entry"] = 9, 10


def duplicate(lines: Lines) -> None:
    lines.insert(9, dict(lines[8]))


def truncate(lines: Lines) -> None:
    del lines[40:44]


def truncate_with_counts(lines: Lines) -> None:
    del lines[40:44]
    lines[0]["size"] = lines[-1]["end"]["entries"] = 39


def cut_the_file(lines: Lines) -> None:
    del lines[-1]


def cut_last_lines(lines: Lines) -> None:
    del lines[-20:]


def spoil_signature(lines: Lines) -> None:
    note = lines[-2]["note"]
    at = len(note) - 20
    lines[-2]["note"] = note[:at] + ("B" if note[at] == "A" else "A") + note[at + 1 :]


def spoil_root(lines: Lines) -> None:
    rows = lines[-2]["note"].split("\n")
    rows[2] = base64.b64encode(bytes(32)).decode()
    lines[-2]["note"] = "\n".join(rows)


def drop_checkpoints(lines: Lines) -> None:
    del lines[-3:-1]
    lines[-1]["end"]["checkpoints"] = 0


def respell_base64(lines: Lines) -> None:
    """The last character before the padding carries two bits that decoders ignore."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    note = lines[-2]["note"]
    spelled = note[-3]
    assert note[-2:] == "=\n"
    lines[-2]["note"] = note[:-3] + alphabet[alphabet.index(spelled) | 1] + note[-2:]


def damage_note(lines: Lines) -> None:
    lines[-2]["note"] = "nothing"


def other_origin(lines: Lines) -> None:
    lines[0]["origin"] = "elsewhere.example/ledger"


@pytest.mark.parametrize(
    ("tamper", "kind", "index"),
    [
        (edit, "edited", 7),
        (edit_with_leaf, "edited", 7),
        (edit_side_field, "edited", 7),
        (edit_and_rechain, "edited", 0),
        (no_entry, "edited", 7),
        (delete, "deleted", 7),
        (delete_and_renumber, "deleted", 9),
        (delete_and_rechain, "edited", 0),
        (reorder, "reordered", 8),
        (reorder_and_renumber, "reordered", 9),
        (reorder_nodes_and_renumber, "reordered", 9),
        (duplicate, "duplicated", 8),
        (truncate, "truncated", 39),
        (truncate_with_counts, "truncated", 39),
        (cut_the_file, "truncated", 43),
        (cut_last_lines, "truncated", None),
        (spoil_signature, "bad_signature", 42),
        (spoil_root, "bad_signature", 42),
        (drop_checkpoints, "unsigned", None),
        (damage_note, "malformed", None),
        (respell_base64, "malformed", None),
        (other_origin, "wrong_key", 21),
    ],
)
def test_tampering_is_named(
    home: Home, tmp_path: Path, tamper: Callable[[Lines], None], kind: str, index: int | None
) -> None:
    lines = home.lines()
    tamper(lines)
    report = verify.verify(write(tmp_path / "x.jsonl", lines), home.ring.fingerprint())
    assert report.status == 1
    if index is None:
        assert kind in [f.kind for f in report.faults]
    else:
        assert (kind, index) in [(f.kind, f.index) for f in report.faults], report.faults
    if kind in {"edited", "deleted", "reordered", "duplicated"}:
        assert report.faults[0].kind == kind


def test_wholly_resigned_forgery_is_found_by_the_key_from_outside(
    home: Home, tmp_path: Path
) -> None:
    forger = FileKeyring.create(tmp_path / "forger.json")
    lines = home.lines()
    edit_and_rechain(lines)
    leaves = [bytes.fromhex(line["leaf"]) for line in lines if "entry" in line]
    lines[0]["key"] = verifier_key(ORIGIN, forger.public_key())
    for line in lines:
        if "checkpoint" in line:
            size = line["checkpoint"]
            root = merkle.root(leaves[:size])
            line["note"] = sign_note(Checkpoint(ORIGIN, size, root), ORIGIN, forger)
    forged = write(tmp_path / "forged.jsonl", lines)
    alone = verify.verify(forged)
    assert alone.faults == []
    assert alone.status == 3  # consistent in itself: only the key tells
    report = verify.verify(forged, home.ring.fingerprint())
    assert report.status == 1
    assert [f.kind for f in report.faults] == ["wrong_key"]
    anchored = verify.verify(forged, None, [str(home.anchor)])
    assert {"edited", "wrong_key", "forked"} & {f.kind for f in anchored.faults}
    assert anchored.status == 1


def test_rolled_back_ledger_is_found_by_the_outside_checkpoint(home: Home, tmp_path: Path) -> None:
    lines = home.lines()
    kept = [line for line in lines if line.get("entry", 0) < 21 and "checkpoint" not in line]
    kept.insert(-1, lines[-3])
    kept[0]["size"], kept[-1] = 21, {"end": {"checkpoints": 1, "entries": 21}}
    rolled = write(tmp_path / "x.jsonl", kept)
    assert verify.verify(rolled, home.ring.fingerprint()).status == 0
    report = verify.verify(rolled, home.ring.fingerprint(), [str(home.anchor)])
    assert [f.kind for f in report.faults] == ["truncated"]


def test_any_flipped_bit_of_the_export_is_found(home: Home, tmp_path: Path) -> None:
    whole = home.export.read_bytes()
    path = tmp_path / "x.jsonl"
    for at in range(0, len(whole), 41):
        altered = bytearray(whole)
        altered[at] ^= 1 << (at % 7)
        path.write_bytes(altered)
        try:
            report = verify.verify(path, home.ring.fingerprint())
        except verify.Unusable:
            continue
        before = json.dumps([json.loads(t) for t in whole.decode().splitlines()])
        assert report.status == 1 or _means_the_same(altered, before), at


def _means_the_same(altered: bytearray, before: str) -> bool:
    """Only the time beside a checkpoint is outside what is checked."""
    lines, old = [json.loads(t) for t in altered.decode().splitlines()], json.loads(before)
    for line in (*lines, *old):
        line.pop("at", None)
    return bool(lines == old)


# ---------------------------------------------------------------- recordings


def test_recordings_swapped_altered_and_missing(home: Home, tmp_path: Path) -> None:
    objects = tmp_path / "flat"
    objects.mkdir()
    for name in home.objects.names():
        with home.objects.open(name) as file:
            (objects / name).write_bytes(file.read())
    key = home.ring.fingerprint()
    assert verify.verify(home.export, key, objects=objects).status == 0
    first, second, third, fourth = sorted(objects.iterdir())
    one, two = first.read_bytes(), second.read_bytes()
    first.write_bytes(two)
    second.write_bytes(one)
    third.write_bytes(third.read_bytes()[:-1])
    fourth.unlink()
    report = verify.verify(home.export, key, objects=objects)
    assert [f.kind for f in report.faults] == [
        "swapped", "swapped", "object_altered", "object_missing",
    ]  # fmt: skip
    assert second.name in report.faults[0].message


# ---------------------------------------------------------------- the key, the command


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    """As a stranger runs it: isolated Python, copied file."""
    return subprocess.run(
        [sys.executable, "-I", "-S", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )


def test_command_line(home: Home, tmp_path: Path) -> None:
    script = tmp_path / "verify.py"
    script.write_bytes(Path(verify.__file__).read_bytes())
    key = home.ring.fingerprint()
    good = run(script, home.export, "--key", key, "--objects", home.root / "objects")
    assert good.returncode == 0
    assert good.stdout.startswith("VALID")
    unproven = run(script, home.export, "--json")
    assert unproven.returncode == 3
    assert json.loads(unproven.stdout)["result"] == "consistent, signer unproven"
    lines = home.lines()
    edit(lines)
    bad = run(script, write(tmp_path / "bad.jsonl", lines), "--key", key)
    assert bad.returncode == 1
    assert "FAULT edited: entry 7" in bad.stdout
    for arguments in (
        (tmp_path / "none.jsonl",),
        (tmp_path / "verify.py",),
        (home.export, "--key", "nonsense"),
        (home.export, "--checkpoint", tmp_path / "verify.py"),
    ):
        unusable = run(script, *arguments)
        assert unusable.returncode == 2, arguments
        assert "Traceback" not in unusable.stderr


def test_every_form_of_the_key(home: Home, tmp_path: Path) -> None:
    public = home.ring.public_key()
    der = bytes.fromhex("302a300506032b6570032100") + public
    pem = f"-----BEGIN PUBLIC KEY-----\n{base64.b64encode(der).decode()}\n-----END PUBLIC KEY-----"
    for text in (home.ring.fingerprint(), verifier_key(ORIGIN, public), public.hex(), pem):
        assert verify.verify(home.export, text).status == 0
        (tmp_path / "key").write_text(text + "\n")
        assert verify.verify(home.export, str(tmp_path / "key")).status == 0


def test_shares_no_code() -> None:
    tree = ast.parse(Path(verify.__file__).read_text())
    names = {
        name.split(".")[0]
        for node in ast.walk(tree)
        for name in (
            [a.name for a in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert names <= set(sys.stdlib_module_names)
