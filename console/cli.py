# SPDX-License-Identifier: GPL-3.0-or-later
"""The ``candor`` command.

Exit codes: 0 done, 1 failed or a check did not pass, 2 the input cannot be
used, 3 not signed in or not allowed.
"""

from __future__ import annotations

import resource
import signal
import sys
from collections.abc import Sequence

import typer
from sqlalchemy.exc import DBAPIError

from compliance.errors import BadInput, CandorError, NotAllowed, SignInFailed
from console.commands import (
    backups,
    calls,
    campaigns,
    checks,
    comparisons,
    demo,
    doctor,
    evidence,
    homes,
    lab,
    monitor,
    previews,
    stops,
    subjects,
)
from console.commands.agents import agents_app, callbacks_app
from console.commands.audits import audit_app
from console.commands.calls import calls_app
from console.commands.campaigns import campaign_app
from console.commands.cases import case_app
from console.commands.common import errors
from console.commands.complaints import complaint_app
from console.commands.contacts import contacts_app
from console.commands.database import db_app
from console.commands.duties import duty_app
from console.commands.exams import exam_app
from console.commands.gate import gate_app
from console.commands.keys import keys_app
from console.commands.ledger import ledger_app
from console.commands.lines import lines_app
from console.commands.models import models_app
from console.commands.numbers import numbers_app
from console.commands.papers import papers_app
from console.commands.people import person_app
from console.commands.policies import calendar_app, policy_app
from console.commands.purposes import (
    assessment_app,
    campaign_purpose,
    purposes_app,
    records_app,
)
from console.commands.registries import registry_app
from console.commands.retention import destructions, hold_app, retention_app
from console.commands.scripts import script_app
from console.commands.suppliers import partners_app, suppliers_app
from console.commands.trainings import training_app
from console.commands.wording import wording_app
from storage.database import storage_error

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,  # they may show local variables: personal data
    help="Candor: AI outbound calls that say they are a robot, let you out, and can prove it.",
)
app.command()(homes.init)
app.command()(homes.login)
app.add_typer(person_app, name="person")
app.add_typer(exam_app, name="exam")
app.add_typer(training_app, name="training")
app.add_typer(policy_app, name="policy")
app.add_typer(calendar_app, name="calendar")
app.add_typer(contacts_app, name="contacts")
app.add_typer(script_app, name="script")
app.add_typer(wording_app, name="wording")
app.add_typer(lines_app, name="lines")
app.add_typer(numbers_app, name="numbers")
app.add_typer(registry_app, name="registry")
app.add_typer(papers_app, name="papers")
app.add_typer(suppliers_app, name="suppliers")
app.add_typer(partners_app, name="partners")
app.add_typer(purposes_app, name="purposes")
app.add_typer(assessment_app, name="assessment")
app.add_typer(records_app, name="records")
campaign_app.command("purpose")(campaign_purpose)
campaign_app.command("preview")(previews.campaign_preview)
campaign_app.command("test")(lab.campaign_test)
campaign_app.command("compare")(comparisons.campaign_compare)
app.add_typer(campaign_app, name="campaign")
app.command()(campaigns.dial)
app.command()(stops.stop_all)
app.command()(monitor.monitor)
app.add_typer(gate_app, name="gate")
app.add_typer(calls_app, name="calls")
app.command("replay")(calls.replay_call)
app.command("check")(checks.check)
app.command("report")(evidence.report_call)
app.command("evidence")(evidence.evidence)
app.add_typer(agents_app, name="agents")
app.add_typer(callbacks_app, name="callbacks")
app.add_typer(complaint_app, name="complaint")
app.add_typer(case_app, name="case")
app.add_typer(audit_app, name="audit")
app.add_typer(duty_app, name="duty")
app.command()(subjects.subject)
app.add_typer(retention_app, name="retention")
app.add_typer(hold_app, name="hold")
app.command()(destructions)
app.add_typer(ledger_app, name="ledger")
app.add_typer(keys_app, name="keys")
app.add_typer(db_app, name="db")
app.command()(backups.backup)
app.command()(backups.restore)
app.add_typer(models_app, name="models")
app.command("doctor")(doctor.doctor_command)
app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    add_help_option=False,
)(demo.sim)
app.command("demo")(demo.demo_command)


def run(arguments: Sequence[str]) -> int:
    """Do one command; its exit code. Errors become one line with the remedy, no traceback."""
    try:
        app(args=list(arguments))
    except SystemExit as left:
        return left.code if isinstance(left.code, int) else int(left.code is not None)
    except (NotAllowed, SignInFailed) as error:
        return _told(error, 3)
    except BadInput as error:
        return _told(error, 2)
    except CandorError as error:
        return _told(error, 1)
    except DBAPIError as error:
        return _told(storage_error(error), 1)
    except OSError as error:
        return _told(f"{error.filename or ''}: {error.strerror}", 1)
    return 0


def _told(error: CandorError | str, code: int) -> int:
    errors.print(str(error), style="red", markup=False, highlight=False, soft_wrap=True)
    return code


def main() -> None:
    """Entry point."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a dump would hold keys and people (D8)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
