# SPDX-License-Identifier: GPL-3.0-or-later
"""The ``candor`` command.

Exit codes: 0 done, 1 failed or a check did not pass, 2 the input cannot be
used, 3 not signed in or not allowed.
"""

from __future__ import annotations

import signal
import sys

import typer

from compliance.errors import BadInput, CandorError, NotAllowed, SignInFailed
from console.commands import campaigns, demo, homes, lab
from console.commands.agents import agents_app, callbacks_app
from console.commands.calls import calls_app
from console.commands.campaigns import campaign_app
from console.commands.common import errors
from console.commands.contacts import contacts_app
from console.commands.ledger import ledger_app
from console.commands.lines import lines_app
from console.commands.models import models_app
from console.commands.scripts import script_app

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Candor: AI outbound calls that say they are a robot, let you out, and can prove it.",
)
app.command()(homes.init)
app.command()(homes.login)
app.command("person")(homes.add_person)
app.add_typer(contacts_app, name="contacts")
app.add_typer(script_app, name="script")
app.add_typer(lines_app, name="lines")
campaign_app.command("test")(lab.campaign_test)
app.add_typer(campaign_app, name="campaign")
app.command()(campaigns.dial)
app.add_typer(calls_app, name="calls")
app.add_typer(agents_app, name="agents")
app.add_typer(callbacks_app, name="callbacks")
app.add_typer(ledger_app, name="ledger")
app.add_typer(models_app, name="models")
app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    add_help_option=False,
)(demo.sim)
app.command("demo")(demo.demo_command)


def main() -> None:
    """Entry point: errors become one line with the remedy, never a traceback."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        app()
    except (NotAllowed, SignInFailed) as error:
        errors.print(str(error), style="red", markup=False)
        sys.exit(3)
    except BadInput as error:
        errors.print(str(error), style="red", markup=False)
        sys.exit(2)
    except CandorError as error:
        errors.print(str(error), style="red", markup=False)
        sys.exit(1)
    except OSError as error:
        errors.print(f"{error.filename or ''}: {error.strerror}", style="red", markup=False)
        sys.exit(1)


if __name__ == "__main__":
    main()
