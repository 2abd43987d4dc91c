# SPDX-License-Identifier: GPL-3.0-or-later
"""Papers, suppliers, partners, purposes, assessments, records: filed, found, asked for (V1-V4, D2,
D11, D12, S7; PIPL 55, 56)."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from compliance.errors import (
    AuthorisationDenied,
    BadInput,
    Corrupt,
    NotAllowed,
    ScriptError,
)
from compliance.facts import Number, Role, SourceKind
from storage.objects import FolderObjects
from storage.papers import PaperReason
from tests.exams import pass_exam
from tests.storage_home import DIGEST, LINE, PURPOSE, SUPPLIER, TestHome, row, write_csv

YEAR = timedelta(days=365)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "王小明 licence.pdf"
    path.write_bytes(b"%PDF planted in a paper")
    return path


def objects(home: TestHome) -> FolderObjects:
    return FolderObjects(home.path / "objects")


def add(home: TestHome, file: Path, who: str = "officer", **fields: Any) -> str:
    chosen: dict[str, Any] = {"kind": "licence", "owner_kind": "supplier", "owner": SUPPLIER}
    if fields.get("kind", "licence") == "licence":
        chosen["valid_until"] = home.clock.wall() + YEAR
    return home.store.papers.add(home.actors[who], objects(home), file, **{**chosen, **fields})


def refused_by(home: TestHome, campaign: str) -> set[str]:
    """Rules that refuse the campaign's next contact; it is given back."""
    claim = home.claim(campaign)
    rules = {f.rule for f in home.refusal(claim).decision.refusing}
    home.store.release(claim)
    return rules


def permitted(home: TestHome, campaign: str) -> None:
    """The campaign's next contact may be dialed; it is given back."""
    claim = home.claim(campaign)
    home.permit(claim)
    home.store.release(claim)


def only(home: TestHome, kind: str, owner_kind: str = "supplier", owner: str = SUPPLIER) -> str:
    [found] = [p.id for p in home.store.papers.papers(owner_kind, owner) if p.kind == kind]
    return found


# ---------------------------------------------------------------- papers


def test_a_paper_is_sealed_listed_and_opened_with_a_reason(home: TestHome, file: Path) -> None:
    paper = add(home, file, number="B2-1", issuer="MIIT", details={"class": "B26"})
    found = home.store.papers.paper(paper[:8])
    assert (found.file_name, found.number, found.details) == (file.name, "B2-1", {"class": "B26"})
    assert found.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    stored = b"".join(p.read_bytes() for p in home.path.rglob("*") if p.is_file())
    assert b"planted in a paper" not in stored
    assert "王小明".encode() not in stored
    opened = home.store.papers.open(home.actors["auditor"], objects(home), paper, PaperReason.AUDIT)
    assert opened == file.read_bytes()
    assert home.ledger_kinds()[-2:] == ["paper.add", "paper.open"]


def test_states_of_a_paper(home: TestHome, file: Path) -> None:
    now = home.clock.wall()
    for start, end, state in (
        (None, now + YEAR, "valid"),
        (None, now + timedelta(days=30), "soon"),
        (now - YEAR, now, "expired"),
        (now + timedelta(days=1), now + YEAR, "not_yet"),
    ):
        paper = add(home, file, valid_from=start, valid_until=end)
        assert home.store.papers.paper(paper).state(now) == state
    home.store.papers.withdraw(home.actors["officer"], paper)
    assert home.store.papers.paper(paper).state(now) == "withdrawn"
    with pytest.raises(BadInput, match="before"):
        home.store.papers.withdraw(home.actors["officer"], paper)


UNUSABLE: tuple[tuple[dict[str, Any], str], ...] = (
    ({"kind": "passport"}, "kind"),
    ({"owner": "nobody"}, "supplier"),
    ({"owner_kind": "moon"}, "owner"),
    ({"valid_until": None}, "valid_until"),
    ({"details": {"class": "B21"}}, "class"),
    ({"details": {"indemnity": "x"}}, "indemnity"),
    ({"number": "x" * 101}, "number"),
    ({"kind": "contract", "details": {"indemnity": " "}}, "indemnity"),
)


def test_what_cannot_be_filed_is_named_and_nothing_is_left(home: TestHome, file: Path) -> None:
    before, kinds = sorted(objects(home).names()), home.ledger_kinds()
    for fields, named in UNUSABLE:
        with pytest.raises(BadInput) as caught:
            add(home, file, **fields)
        assert caught.value.field == named
    assert sorted(objects(home).names()) == before
    assert home.ledger_kinds() == kinds


def test_an_empty_missing_or_huge_file_is_refused(home: TestHome, tmp_path: Path) -> None:
    empty, huge = tmp_path / "empty", tmp_path / "huge"
    empty.touch()
    with huge.open("wb") as sparse:
        sparse.truncate((20 << 20) + 1)
    for path in (empty, huge, tmp_path / "nowhere"):
        with pytest.raises(BadInput) as caught:
            add(home, path)
        assert caught.value.field == "file"


def test_a_changed_file_does_not_open(home: TestHome, file: Path) -> None:
    paper = add(home, file)
    files = [p for p in (home.path / "objects").rglob("*") if p.is_file()]
    place = max(files, key=lambda p: p.stat().st_mtime_ns)
    sealed = bytearray(place.read_bytes())
    sealed[-1] ^= 1
    place.write_bytes(bytes(sealed))
    with pytest.raises(Corrupt, match=paper):
        home.store.papers.open(home.actors["admin"], objects(home), paper, PaperReason.CHECK)


def test_who_may_file_open_declare_and_sign(home: TestHome, file: Path) -> None:
    store, operator = home.store, home.actors["operator"]
    paper = only(home, "contract")
    for act in (
        lambda: add(home, file, who="operator"),
        lambda: store.papers.open(operator, objects(home), paper, PaperReason.CHECK),
        lambda: store.papers.withdraw(operator, paper),
        lambda: store.suppliers.add(operator, "s2", company="x"),
        lambda: store.suppliers.note(operator, SUPPLIER, "encryption", "x"),
        lambda: store.suppliers.assign(operator, LINE.id, SUPPLIER),
        lambda: store.partners.add(operator, "p", company="x"),
        lambda: store.partners.origin(operator, Number("+8613900000001")),
        lambda: store.purposes.declare(operator, "p", legal_basis="consent", description="x"),
        lambda: store.purposes.end(home.actors["admin"], PURPOSE),
        lambda: store.purposes.change(home.actors["officer"], "c", PURPOSE),
        lambda: store.assessments.add(operator, objects(home), file, purpose=PURPOSE),
        lambda: store.assessments.confirm(home.actors["admin"], "c"),
        lambda: store.records.records(operator),
    ):
        with pytest.raises(NotAllowed):
            act()
        assert home.ledger_kinds()[-1] == "access.refuse"


# ---------------------------------------------------------------- suppliers, V1-V4


def test_a_withdrawn_paper_blocks_the_supplier_s_lines(home: TestHome) -> None:
    campaign = home.campaign()
    permitted(home, campaign)
    blocked = {"no_usable_line"}
    for kind, rule in (
        ("contract", "supplier_without_contract"),
        ("certificate", "unlicensed_supplier"),
        ("licence", "unlicensed_supplier"),
    ):
        home.store.papers.withdraw(home.actors["officer"], only(home, kind))
        blocked.add(rule)
        assert refused_by(home, campaign) == blocked


def test_an_ended_paper_blocks_and_a_new_one_lets_again(home: TestHome, file: Path) -> None:
    campaign, now = home.campaign(), home.clock.wall()
    home.store.papers.withdraw(home.actors["officer"], only(home, "licence"))
    add(home, file, valid_until=now)
    add(home, file, valid_from=now + timedelta(days=1), valid_until=now + YEAR)
    assert "unlicensed_supplier" in refused_by(home, campaign)
    add(home, file, valid_until=now + YEAR, details={"class": "B26"})
    permitted(home, campaign)
    [supplier] = home.store.suppliers.suppliers()
    assert supplier.facts.licence == "B26"


def test_a_refusal_for_a_paper_keeps_the_contact_for_later(home: TestHome) -> None:
    campaign = home.campaign()
    home.store.papers.withdraw(home.actors["officer"], only(home, "licence"))
    claim = home.claim(campaign)
    home.store.refuse(claim, home.refusal(claim).decision, home.clock.wall())
    assert home.store.claim(campaign, worker="w", now=home.clock.wall(), lease_s=60) is None
    later = home.clock.wall() + timedelta(minutes=5)
    assert home.store.claim(campaign, worker="w", now=later, lease_s=60) is not None


def test_a_paper_withdrawn_between_claim_and_dial_stops_the_call(home: TestHome) -> None:
    claim = home.claim(home.campaign())
    permit = home.permit(claim)
    home.store.papers.withdraw(home.actors["officer"], only(home, "contract"))
    with pytest.raises(AuthorisationDenied) as caught:
        home.store.authorise(permit, claim, home.clock.wall())
    assert caught.value.rule == "unlicensed_supplier"
    assert home.claim(claim.request.campaign.id).request.contact == claim.request.contact


def test_a_line_of_nobody_and_a_bare_supplier(home: TestHome) -> None:
    store, admin = home.store, home.actors["admin"]
    with pytest.raises(BadInput, match="supplier"):
        store.lines.add_line(admin, LINE.evolve(supplier=LINE.supplier.evolve(id="nobody")))
    store.suppliers.add(admin, "bare", company="裸线公司")
    campaign = home.campaign()
    store.suppliers.assign(admin, LINE.id, "bare")
    blocked = {"unlicensed_supplier", "unchecked_supplier", "supplier_without_contract"}
    assert refused_by(home, campaign) == blocked | {"no_usable_line"}
    assert [s.facts.id for s in store.suppliers.suppliers()] == [SUPPLIER, "bare"]  # V3


# ---------------------------------------------------------------- data partners, D2


def from_partner(home: TestHome, partner: str = "good", name: str = "given") -> None:
    path = home.path / f"{name}.csv"
    write_csv(path, [row("13900000077")])
    home.store.contacts.import_file(
        path,
        actor=home.actors["operator"],
        source=SourceKind.PARTNER,
        batch=name,
        partner=partner,
    )


def test_a_partner_s_batch_is_called_only_with_its_papers_and_resolves_to_them(
    home: TestHome, file: Path
) -> None:
    store, officer = home.store, home.actors["officer"]
    with pytest.raises(BadInput, match="no such data partner"):
        from_partner(home)
    with pytest.raises(BadInput, match="partner"):
        from_partner(home, partner="")
    store.partners.add(officer, "good", company="良源数据")
    from_partner(home)
    campaign = home.campaign(batches=["given"])
    assert refused_by(home, campaign) == {"unproven_data_partner"}
    add(home, file, owner_kind="partner", owner="good")
    proof = {"kind": "provenance", "owner_kind": "partner", "owner": "good"}
    add(home, file, **proof, details={"batch": "another"})
    assert refused_by(home, campaign) == {"unproven_data_partner"}
    paper = add(home, file, **proof, details={"batch": "given"})
    permitted(home, campaign)
    [origin] = store.partners.origin(home.actors["auditor"], Number("+8613900000077"))
    assert (origin.batch, origin.partner, origin.company) == ("given", "good", "良源数据")
    assert paper in {p.id for p in origin.papers}
    assert {p.details.get("batch", "given") for p in origin.papers} == {"given"}
    assert home.ledger_kinds()[-1] == "contact.origin"
    assert store.partners.origin(officer, Number("+8613900000078")) == []


# ---------------------------------------------------------------- purposes, assessments, records


def test_another_purpose_blocks_until_consent_and_assessment_follow(
    home: TestHome, file: Path
) -> None:
    store, officer, operator = home.store, home.actors["officer"], home.actors["operator"]
    campaign = home.campaign()
    with pytest.raises(BadInput, match="running"):
        store.purposes.change(operator, campaign, PURPOSE)
    store.campaigns.pause(operator, campaign)
    with pytest.raises(BadInput, match="not declared"):
        store.purposes.change(operator, campaign, "survey")
    store.purposes.declare(officer, "survey", legal_basis="consent", description="a survey")
    store.purposes.change(operator, campaign, "survey")
    store.campaigns.start(operator, campaign)
    assert refused_by(home, campaign) == {"consent_for_another_use", "no_impact_assessment"}
    store.assessments.add(officer, objects(home), file, campaign=campaign)
    assert refused_by(home, campaign) == {"consent_for_another_use"}
    path = home.path / "again.csv"
    write_csv(path, [row("13900000001", consent_purpose="survey")])
    store.contacts.import_file(path, actor=operator, source=SourceKind.OWN_CRM, batch="again")
    permitted(home, campaign)


def test_a_purpose_is_declared_as_consents_name_it(home: TestHome) -> None:
    declare = home.store.purposes.declare
    officer = home.actors["officer"]
    assert declare(officer, "会员服务", legal_basis="consent", description="x") == "会员服务"
    for code, basis, words, field in (
        ("", "consent", "x", "purpose"),
        (" p", "consent", "x", "purpose"),
        ("p" * 101, "consent", "x", "purpose"),
        ("p", "hope", "x", "legal_basis"),
        ("p", "consent", " ", "description"),
    ):
        with pytest.raises(BadInput) as caught:
            declare(officer, code, legal_basis=basis, description=words)
        assert caught.value.field == field


def test_a_purpose_that_ended_or_was_never_declared_refuses(home: TestHome) -> None:
    campaign = home.campaign()
    home.store.purposes.end(home.actors["officer"], PURPOSE)
    assert refused_by(home, campaign) >= {"undeclared_purpose", "no_impact_assessment"}
    with pytest.raises(BadInput, match="no such purpose"):
        home.store.purposes.end(home.actors["officer"], PURPOSE)


def test_an_assessment_covers_a_campaign_as_it_stands(home: TestHome, file: Path) -> None:
    store, officer = home.store, home.actors["officer"]
    campaign = home.campaign()
    store.assessments.add(officer, objects(home), file, campaign=campaign)
    store.papers.withdraw(officer, only(home, "assessment", "purpose", PURPOSE))
    permitted(home, campaign)
    with pytest.raises(BadInput, match="nothing changed"):
        store.assessments.confirm(officer, campaign)
    store.purposes.declare(officer, PURPOSE, legal_basis="consent", description="other words")
    assert refused_by(home, campaign) == {"no_impact_assessment"}
    [first] = [a for a in store.assessments.assessments() if a.campaign]
    assert not first.current
    home.clock.advance(1)
    store.assessments.confirm(officer, campaign)
    permitted(home, campaign)
    confirmed = store.assessments.assessments()[0]
    assert (confirmed.confirms, confirmed.current) == (first.id, True)
    assert confirmed.what["scripts"][0][1] == store.campaigns.campaign_script(campaign).digest


def test_whoever_made_a_campaign_does_not_assess_it(home: TestHome, file: Path) -> None:
    store, admin = home.store, home.actors["admin"]
    both = [Role.OPERATOR, Role.COMPLIANCE]
    store.people.add_person(admin, "both", "correct horse", both)
    home.actors["operator"] = store.people.sign_in("both", "correct horse")
    pass_exam(store, home.actors["operator"])
    campaign = home.campaign(start=False)
    with pytest.raises(NotAllowed, match="another compliance officer"):
        store.assessments.add(home.actors["operator"], objects(home), file, campaign=campaign)
    with pytest.raises(BadInput, match="campaign or a purpose"):
        store.assessments.add(home.actors["officer"], objects(home), file)


def test_each_start_leaves_a_record_that_is_kept_three_years(home: TestHome) -> None:
    campaign = home.campaign(["13900000001", "13900000002"])
    [record] = home.store.records.records(home.actors["auditor"])
    assert record.what["persons"] == 2
    assert record.what["purpose"] == PURPOSE
    assert record.what["legal_basis"] == "consent"
    assert record.what["sources"] == [["c1-batch", "own_crm", ""]]
    assert record.what["recipients"] == [[LINE.id, "China Mobile", "Candor Lines"]]
    assert record.keep_until is None
    home.store.campaigns.stop(home.actors["operator"], campaign)
    [record] = home.store.records.records(home.actors["officer"])
    assert record.keep_until is not None
    assert record.keep_until.year == home.clock.wall().year + 3


# ---------------------------------------------------------------- claims, S7


def submit(home: TestHome, text: str) -> Any:
    return home.store.scripts.submit(
        home.actors["author"],
        "offer",
        text,
        flow_digest=DIGEST,
        audio_digest=DIGEST,
        disclosure_end_ms=2700.0,
    )


def test_a_claim_without_valid_evidence_is_not_signed(home: TestHome, file: Path) -> None:
    officer, scripts = home.actors["officer"], home.store.scripts
    proof = {"kind": "claim", "owner_kind": "script", "owner": "offer"}
    paper = add(home, file, **proof)
    strange = add(home, file, **{**proof, "owner": "another"})
    ended = add(home, file, **proof, valid_until=home.clock.wall())
    for named in ("", strange, ended, "123456", only(home, "contract")):
        version = submit(home, f"claims:\n- text: 首月免费\n  paper: '{named}'\n")
        with pytest.raises(ScriptError) as caught:
            scripts.approve(officer, version)
        assert caught.value.field == "claims[1]"
    version = submit(home, "claims: 首月免费\n")
    with pytest.raises(ScriptError, match="list"):
        scripts.approve(officer, version)
    version = submit(home, f"claims:\n- text: 首月免费\n  paper: '{paper}'\n")
    assert scripts.approve(officer, version).is_approved
    home.store.papers.withdraw(officer, paper)
    again = submit(home, f"claims:\n- text: 首月免费\n  paper: '{paper}'\n#\n")
    with pytest.raises(ScriptError):
        scripts.approve(officer, again)
