# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may import whom, and that one function alone can put an INVITE on the wire."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OURS = ("compliance", "dialer", "voicebot", "storage", "console", "sip_sim", "tests", "tools")

# package -> prefixes of our modules it may import, itself aside
ALLOWED = {
    "compliance": (),
    "voicebot": ("compliance",),
    "storage": (
        "compliance.facts",
        "compliance.exam",  # draws and judges a sitting
        "compliance.standing",  # what the gate is told of exams and adopted law
        "compliance.calendar",  # months, for terms
        "compliance.arms",  # which script a number hears
        "compliance.audits",  # drawing and what is asked
        "compliance.complaints",  # clock and routing
        "compliance.duties",  # periods
        "compliance.canonical",  # what a decision is bound to, kept for a dispute
        "compliance.permits",
        "compliance.errors",
        "compliance.paperwork",  # facts too, in a file of their own
        "compliance.own_numbers",  # so are these, with what makes a number suspect
        "compliance.registries",
        "compliance.clock",
    ),
    "sip_sim": (),
    "dialer": ("compliance", "voicebot", "storage"),
    # The demo measures in the callees' audio with the witness's own tools.
    "console": ("compliance", "voicebot", "storage", "dialer", "sip_sim.witness"),
}
# The pure parts of dialer know facts and errors only.
PURE_DIALER = {
    "call.py": ("compliance.facts", "compliance.errors"),
    "outcome.py": ("compliance.facts", "compliance.errors", "dialer.call"),
    "lines.py": ("compliance.facts", "compliance.errors"),
    "playout.py": (),
    "orphans.py": (),
    "proof.py": ("compliance.errors",),
    "audio.py": ("dialer.playout",),
    "leg.py": ("voicebot.line", "dialer.call", "dialer.audio", "dialer.playout"),
    "sip_call.py": ("dialer.audio", "dialer.leg"),
    "sip.py": (
        "dialer.sip_call",
        "compliance.permits",
        "compliance.errors",
        "compliance.clock",
        "dialer.audio",
        "dialer.leg",
        "dialer.lines",
    ),
}


def imports(path: Path) -> set[str]:
    """Dotted names of every module ``path`` imports, wherever in the file."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def ours(names: set[str]) -> set[str]:
    return {name for name in names if name.split(".")[0] in OURS}


def within(name: str, allowed: tuple[str, ...]) -> bool:
    return any(name == prefix or name.startswith(prefix + ".") for prefix in allowed)


@pytest.mark.parametrize("package", sorted(ALLOWED))
def test_direction_of_dependency(package: str) -> None:
    files = sorted((ROOT / package).rglob("*.py"))
    assert files, f"{package} has no modules"
    for path in files:
        for name in ours(imports(path)):
            allowed = (package, *ALLOWED[package])
            assert within(name, allowed), f"{path.relative_to(ROOT)} may not import {name}"


@pytest.mark.parametrize("module", sorted(PURE_DIALER))
def test_parts_of_the_dialer_keep_to_themselves(module: str) -> None:
    for name in ours(imports(ROOT / "dialer" / module)):
        assert within(name, PURE_DIALER[module]), f"dialer/{module} may not import {name}"


def test_compliance_is_standard_library_only() -> None:
    for path in (ROOT / "compliance").rglob("*.py"):
        for name in imports(path):
            top = name.split(".")[0]
            assert top in sys.stdlib_module_names or top == "compliance", f"{path.name}: {name}"


def test_the_independent_verifier_imports_nothing_but_the_standard_library() -> None:
    for name in imports(ROOT / "storage" / "verify.py"):
        assert name.split(".")[0] in sys.stdlib_module_names, name


def test_pjsua2_is_reached_from_three_modules_only() -> None:
    users = {
        path.relative_to(ROOT).as_posix()
        for package in ALLOWED
        for path in (ROOT / package).rglob("*.py")
        if "pjsua2" in {name.split(".")[0] for name in imports(path)}
    }
    assert users == {"dialer/sip.py", "dialer/sip_call.py", "dialer/audio.py"}


def calls_of(tree: ast.AST, name: str) -> list[ast.Call]:
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute | ast.Name)
        and (node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id) == name
    ]


def test_every_path_to_an_invite_redeems_a_permit() -> None:
    """makeCall is called once, in _invite; _invite once, in _place; and _place only where a permit
    was redeemed first: by ``place`` and ``place_internal``."""
    for package in ALLOWED:
        for path in (ROOT / package).rglob("*.py"):
            tree = ast.parse(path.read_text("utf-8"))
            here = path == ROOT / "dialer" / "sip.py"
            assert len(calls_of(tree, "makeCall")) == here, path
            if package != "sip_sim":  # its tests' own user agent calls the simulator alone
                assert len(calls_of(tree, "_invite")) == here, path
            assert len(calls_of(tree, "_place")) == 2 * here, path
            assert not calls_of(tree, "xfer"), path
            assert not calls_of(tree, "xferReplaces"), path
            assert not calls_of(tree, "sendRequest"), path
    tree = ast.parse((ROOT / "dialer" / "sip.py").read_text("utf-8"))
    functions = {
        node.name: node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert len(calls_of(functions["_invite"], "makeCall")) == 1
    assert len(calls_of(functions["_place"], "_invite")) == 1
    for name, permit in (("place", "Permit"), ("place_internal", "InternalPermit")):
        place = functions[name]
        assert len(calls_of(place, "_place")) == 1
        assert len(calls_of(place, "redeem")) == 1
        first = place.args.args[1]
        assert first.arg == "permit"
        assert ast.unparse(first.annotation or ast.Constant("")) == permit
    # The number or URI dialed is the one the permit gives.
    assert ast.unparse(calls_of(functions["place_internal"], "_place")[0].args[1]) == (
        "permit.redeem(self._clock.monotonic())"
    )
    redeemed = functions["place"].body[1]
    assert isinstance(redeemed, ast.Assign)
    assert ast.unparse(redeemed.value).startswith("permit.redeem(")
    assert "number" in ast.unparse(calls_of(functions["place"], "_place")[0].args[1])


def test_only_the_gate_takes_the_permit_issuer() -> None:
    for package in ALLOWED:
        for path in (ROOT / package).rglob("*.py"):
            text = path.read_text("utf-8")
            if path.name in ("permits.py", "gate.py") and package == "compliance":
                continue
            assert "claim_issuer" not in text, path
            assert "Permit(" not in text, path
