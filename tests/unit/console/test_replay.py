# SPDX-License-Identifier: GPL-3.0-or-later
"""A call seen again: its course, its strip, its audio; every opening is in the ledger."""

from __future__ import annotations

import itertools
import json
import stat
import wave
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compliance.errors import BadInput, StorageError
from compliance.facts import Blame, KeyPress, Outcome, Role, Speaker, TranscriptLine
from console import timeline, wav
from console.replay import offset
from console.timeline import Event
from storage import labels
from storage.listing import CallRow
from tests.console_home import CAMPAIGN, COMPANY, ConsoleHome

AT = datetime(2026, 11, 24, 2, tzinfo=UTC)
LABEL = labels.label_text("星辰公司", "c1")


def call(**fields: Any) -> CallRow:
    blank = CallRow(
        id="a" * 32, campaign="c", contact="王**", number="139****0001", contact_id="p", at=AT,
        line="l", outcome=Outcome.ACCEPTED, blame=Blame.CALLEE, sip_status=200, sip_call_id="x",
        answered_at=AT + timedelta(seconds=3), ended_at=AT + timedelta(seconds=13),
        disclosed_ms=2500, notice_ms=None, refused=False, refused_ms=None, farewell_ms=None,
        transferred=False, callback=False, duration_ms=10_000, recording="r", feedback="",
        violations=(), ledger_leaf="", ledger_index=None, invited_at=AT,
        ringing_at=AT + timedelta(milliseconds=40), ended_by="bot",
    )  # fmt: skip
    return blank.evolve(**fields)


def said(who: Speaker, start: int, end: int, **fields: Any) -> TranscriptLine:
    return TranscriptLine(who, "words", start, end, **fields)


# ---------------------------------------------------------------- the course of a call


def test_events_are_in_order_of_time_from_the_answer() -> None:
    lines = [said(Speaker.CALLEE, 3000, 4000), said(Speaker.BOT, 10, 2500, mark="disclosure")]
    seen = timeline.events(call(), lines, [KeyPress("1", 5000)])
    assert [(e.at_ms, e.kind) for e in seen] == [
        (-3000, "invited"),
        (-2960, "ringing"),
        (0, "answered"),
        (10, "said"),
        (2500, "disclosed"),
        (3000, "said"),
        (5000, "key"),
        (10_000, "ended"),
    ]
    assert seen[-1].who == "bot"


def test_a_call_nobody_answered_counts_from_its_invite() -> None:
    ended = AT + timedelta(seconds=5)
    unanswered = call(
        answered_at=None, ended_at=ended, duration_ms=0, disclosed_ms=None, sip_status=486,
        sip_reason="Busy Here", outcome=Outcome.BUSY,
    )  # fmt: skip
    seen = timeline.events(unanswered)
    assert [(e.at_ms, e.kind) for e in seen] == [(0, "invited"), (40, "ringing"), (5000, "ended")]
    assert seen[-1].text == "486 Busy Here"


def test_what_never_left_has_an_end_alone() -> None:
    unsent = call(
        answered_at=None, invited_at=None, ringing_at=None, ended_at=AT, disclosed_ms=None,
        sip_status=0, sip_reason="no slot",
    )  # fmt: skip
    (end,) = timeline.events(unsent)
    assert (end.at_ms, end.kind, end.text) == (0, "ended", "no slot")


@pytest.mark.parametrize(
    ("at_ms", "shown"), [(0, "0:00.000"), (62_505, "1:02.505"), (-3_215, "-0:03.215")]
)
def test_offsets(at_ms: int, shown: str) -> None:
    assert offset(at_ms) == shown


# ---------------------------------------------------------------- the strip


def strip(events: list[Event], duration_ms: int = 10_000, columns: int = 100) -> timeline.Strip:
    return timeline.strip(events, duration_ms, columns)


def test_a_cell_is_as_dark_as_its_share_of_speech() -> None:
    lanes = dict(strip([Event(1000, "said", 2000, "bot"), Event(5050, "said", 5100, "bot")]).lanes)
    assert lanes["bot"][:10].strip() == ""
    assert lanes["bot"][10:20] == "█" * 10
    assert lanes["bot"][50] == "▒"  # half of its 100 ms
    assert lanes["bot"][51:].strip() == ""
    assert lanes["callee"].strip() == ""


def test_the_shortest_word_shows() -> None:
    lanes = dict(strip([Event(1001, "said", 1002, "callee")]).lanes)
    assert lanes["callee"][10] == "░"


def test_a_person_at_our_telephone_gets_a_lane_only_when_they_spoke() -> None:
    assert [who for who, _ in strip([Event(0, "said", 10, "bot")]).lanes] == ["callee", "bot"]
    lanes = strip([Event(0, "said", 10, "agent")]).lanes
    assert [who for who, _ in lanes] == ["callee", "bot", "agent"]


@pytest.mark.parametrize("duration_ms", [1, 900, 4_000, 33_064, 180_000, 3_600_000])
@pytest.mark.parametrize("columns", [8, 60, 140])
def test_the_ruler_fits_and_its_labels_do_not_touch(duration_ms: int, columns: int) -> None:
    shown = strip([], duration_ms, columns)
    assert len(shown.ticks) == columns
    assert all(len(cells) == columns for _, cells in shown.lanes)
    assert shown.ruler.startswith("0 s")
    places = [i for i, tick in enumerate(shown.ticks) if tick == "┴"]
    assert places[0] == 0
    assert all(later - earlier >= 7 for earlier, later in itertools.pairwise(places))
    labels = shown.ruler.replace("0 s", "0", 1).split()
    assert [int(label) for label in labels] == sorted(int(label) for label in labels)
    assert len(labels) == len(places)


def test_marks_stand_where_they_happened_and_never_on_each_other() -> None:
    shown = strip(
        [
            Event(2500, "disclosed"),
            Event(2500, "refused"),
            Event(2510, "farewell"),
            Event(2000, "said", 9999, "bot", cut=True),
            Event(99_999, "notice"),  # not inside the call
        ]
    )
    assert shown.marks[25:28] == "RDF"
    assert shown.marks[99] == "×"
    assert "N" not in shown.marks
    assert timeline.letters_in(shown.marks) == ["refused", "cut", "disclosed", "farewell"]


# ---------------------------------------------------------------- the audio


def chunks(data: bytes) -> dict[bytes, bytes]:
    """RIFF chunks by name."""
    assert data[:4] == b"RIFF"
    assert int.from_bytes(data[4:8], "little") == len(data) - 8
    found, at = {}, 12
    while at < len(data):
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        found[data[at : at + 4]] = data[at + 8 : at + 8 + size]
        at += 8 + size + size % 2
    return found


def test_left_is_the_callee_right_the_bot_and_the_shorter_ends_in_silence(tmp_path: Path) -> None:
    callee, bot = np.arange(1, 4, dtype=np.int16), np.arange(-5, 0, dtype=np.int16)
    wav.save(
        tmp_path / "a.wav", wav.stereo(callee, bot, comment="x", title="y", label="{}"), force=False
    )
    with wave.open(str(tmp_path / "a.wav")) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (2, 2, 8000)
        frames = np.frombuffer(file.readframes(9), "<i2").reshape(-1, 2)
    assert frames[:, 0].tolist() == [1, 2, 3, 0, 0]
    assert frames[:, 1].tolist() == [-5, -4, -3, -2, -1]
    assert stat.S_IMODE((tmp_path / "a.wav").stat().st_mode) == 0o600


@pytest.mark.parametrize("comment", ["odd", "even"])
def test_the_file_says_of_itself_what_it_is(comment: str) -> None:
    data = wav.stereo(None, np.ones(2, np.int16), comment=comment, title="DEMO x", label=LABEL)
    info = chunks(data)[b"LIST"]
    assert info.startswith(b"INFO")
    assert comment.encode() + b"\0" in info
    assert b"DEMO x\0" in info
    size = int.from_bytes(info[info.index(b"AIGC") + 4 :][:4], "little")
    label = info[info.index(b"AIGC") + 8 :][: size - 1]
    said = json.loads(label)["AIGC"]
    assert (said["Label"], said["ContentProducer"], said["ProduceID"]) == ("1", "星辰公司", "c1")


def test_nothing_is_overwritten_or_left_half(tmp_path: Path) -> None:
    target = tmp_path / "a.wav"
    target.write_bytes(b"precious")
    with pytest.raises(BadInput, match="--force"):
        wav.save(target, b"new", force=False)
    assert target.read_bytes() == b"precious"
    wav.save(target, b"new", force=True)
    assert target.read_bytes() == b"new"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    with pytest.raises(StorageError):
        wav.save(tmp_path / "none" / "a.wav", b"new", force=True)
    assert [p.name for p in tmp_path.iterdir()] == ["a.wav"]


# ---------------------------------------------------------------- the command


def test_a_replay_asks_for_a_reason_and_is_written_down(calls: ConsoleHome) -> None:
    calls.sign_in(Role.AUDITOR)
    before = len(calls.kinds())
    ran = calls.candor("replay", calls.accepted[:8])
    assert (ran.code, ran.out) == (2, "")
    assert "quality|dispute|audit" in ran.err
    assert calls.candor("replay", calls.accepted[:8], "--reason", "curiosity").code == 2
    assert len(calls.kinds()) == before  # nothing was opened
    ran = calls.candor("replay", calls.accepted[:8], "--reason", "quality")
    assert ran.code == 0
    for words in ("您好，我是机器人", "好的我叫王小明", "[身份告知]", "按键 2", "BYE", "演示"):
        assert words in ran.out
    assert calls.kinds()[-2:] == ["pii.read", "pii.read"]


def test_a_replay_as_json(calls: ConsoleHome) -> None:
    calls.sign_in(Role.COMPLIANCE)
    data = calls.candor("replay", calls.refused, "--reason", "dispute", "--json").data
    assert (data["demo"], data["outcome"], data["duration_ms"]) == (True, "refused", 20_000)
    kinds = [event["kind"] for event in data["events"]]
    assert kinds == [
        "invited", "ringing", "answered", "said", "said", "disclosed", "refused", "said",
        "farewell", "ended",
    ]  # fmt: skip
    cut = next(event for event in data["events"] if event["cut"])
    assert (cut["start_ms"], cut["end_ms"], cut["mark"]) == (2_705, 3_095, "purpose")


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.AUTHOR, Role.ADMIN])
def test_what_was_said_is_not_for_everybody(calls: ConsoleHome, role: Role) -> None:
    calls.sign_in(role)
    ran = calls.candor("replay", calls.accepted, "--reason", "audit")
    assert (ran.code, ran.out) == (3, "")
    assert calls.kinds()[-1] == "access.refuse"


def test_what_cannot_be_replayed(calls: ConsoleHome) -> None:
    calls.sign_in(Role.AUDITOR)
    for id, cause in ((calls.stopped, "gate refused"), (calls.live, "still going on")):
        ran = calls.candor("replay", id, "--reason", "audit")
        assert ran.code == 2
        assert cause in ran.err
    assert "pii.read" not in calls.kinds()


def test_a_recording_is_written_once_and_says_demo(calls: ConsoleHome, tmp_path: Path) -> None:
    calls.sign_in(Role.AUDITOR)
    target = tmp_path / "call.wav"
    words = ("replay", calls.accepted[:8], "--wav", str(target), "--reason", "dispute")
    ran = calls.candor(*words)
    assert ran.code == 0, ran.err
    assert "DEMO" in ran.out
    assert calls.kinds()[-1] == "recording.open"
    assert "pii.read" not in calls.kinds()  # the words were not read
    with wave.open(str(target)) as file:
        frames = np.frombuffer(file.readframes(16_000), "<i2").reshape(-1, 2)
    assert len(frames) == 16_000
    assert np.abs(frames[:, 1]).min() > 1000
    info = chunks(target.read_bytes())[b"LIST"]
    assert b"DEMO" in info
    assert calls.accepted.encode() in info
    assert labels.label_text(COMPANY, calls.accepted).encode() + b"\0" in info
    assert "王".encode() not in target.read_bytes()
    entries = len(calls.kinds())
    ran = calls.candor(*words)
    assert (ran.code, ran.out) == (2, "")
    assert "--force" in ran.err
    assert len(calls.kinds()) == entries  # asked before anything was opened
    assert calls.candor(*words, "--force").code == 0


def test_a_destroyed_track_is_silent_and_said_to_be(calls: ConsoleHome, tmp_path: Path) -> None:
    calls.language("en")
    calls.sign_in(Role.AUDITOR)
    target = tmp_path / "call.wav"
    ran = calls.candor("replay", calls.refused, "--wav", str(target), "--reason", "audit")
    assert ran.code == 0
    assert "destroyed" in ran.out
    with wave.open(str(target)) as file:
        frames = np.frombuffer(file.readframes(16_000), "<i2").reshape(-1, 2)
    assert not frames[:, 0].any()
    assert frames[:, 1].any()
    assert b"destroyed" in chunks(target.read_bytes())[b"LIST"]


# ---------------------------------------------------------------- lists and sheets


def test_calls_list_gives_every_promised_field_masked(calls: ConsoleHome) -> None:
    calls.sign_in(Role.OPERATOR)
    ran = calls.candor("calls", "list", CAMPAIGN, "--json")
    rows = {row["id"]: row for row in ran.data}
    assert set(rows) == {calls.accepted, calls.refused, calls.stopped, calls.live}
    promised = (
        "id campaign contact line outcome blame sip_status answered_at disclosed_ms refused "
        "transferred duration_ms recording ledger_index feedback"
    )
    for row in rows.values():
        assert set(promised.split()) <= set(row)
        assert (row["campaign"], row["demo"]) == (CAMPAIGN, True)
    good = rows[calls.accepted]
    assert (good["contact"], good["number"], good["outcome"]) == ("王**", "139****0101", "accepted")
    assert (good["disclosed_ms"], good["duration_ms"], good["pdd_ms"]) == (2505, 20_000, 40)
    assert rows[calls.stopped]["outcome"] == "gate_refused"
    assert rows[calls.stopped]["rules"] == ["no_explicit_consent"]
    assert rows[calls.live]["outcome"] == ""
    table = calls.candor("calls", "list", CAMPAIGN).out
    for out in (ran.out, table):
        assert "王小明" not in out
        assert "3900000101" not in out
    assert calls.accepted[:8] in table


def test_calls_show_tells_all_but_what_was_said(calls: ConsoleHome) -> None:
    calls.language("en")
    calls.sign_in(Role.OPERATOR)
    ran = calls.candor("calls", "show", calls.accepted[:6], "--json")
    data = ran.data
    assert data["timings_ms"] == {"pdd": 40, "setup": 1500, "ring": 1460, "talk": 20_000}
    assert data["tracks"] == ["callee", "bot"]
    assert data["decision"]["permitted"] is True
    assert {"rule": "no_explicit_consent", "passed": True}.items() <= next(
        f for f in data["decision"]["findings"] if f["rule"] == "no_explicit_consent"
    ).items()
    kinds = [entry["kind"] for entry in data["ledger"]]
    assert kinds == ["attempt.authorise", "recording.begin", "call.finish"]
    shown = calls.candor("calls", "show", calls.accepted).out
    for text in ("ring time", "1460 ms", "callee, robot", "call.finish", "permitted by the gate"):
        assert text in shown
    for out in (ran.out, shown):
        for secret in ("王小明", "3900000101", "您好"):
            assert secret not in out
    refused = calls.candor("calls", "show", calls.refused, "--json").data
    assert (refused["tracks"], refused["violations"]) == (["bot"], ["S6"])


def test_calls_show_explains_a_refusal_in_the_homes_language(calls: ConsoleHome) -> None:
    calls.sign_in(Role.AUDITOR)
    zh = calls.candor("calls", "show", calls.stopped).out
    calls.language("en")
    en = calls.candor("calls", "show", calls.stopped).out
    for out in (zh, en):
        assert "✗ D3 no_explicit_consent" in out
        assert "gate.refuse" in out
    data = calls.candor("calls", "show", calls.stopped, "--json").data
    assert data["outcome"] == "gate_refused"
    assert data["decision"]["permitted"] is False
    (finding,) = [f for f in data["decision"]["findings"] if not f["passed"]]
    assert finding["sentence"] in en
    assert finding["sentence"] not in zh


def test_a_call_on_the_line_can_be_looked_at(calls: ConsoleHome) -> None:
    calls.sign_in(Role.AUDITOR)
    data = calls.candor("calls", "show", calls.live, "--json").data
    assert (data["outcome"], data["duration_ms"]) == ("", 0)
    assert data["timings_ms"] == {"pdd": None, "setup": None, "ring": None, "talk": None}
    assert calls.candor("calls", "show", calls.live).code == 0
    assert json.dumps(data)
