"""`relay test`: routing tests of a configuration, in simulated time, without sending anything."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from relay.cli.common import EXIT_NO, ConfigOption, Output, OutputOption, fail, load_config, print_json, say

if TYPE_CHECKING:
    from relay.app.trial.routing_tests import Verdict


def trial(
    files: Annotated[list[Path] | None, typer.Argument(metavar="FILE...", help="Files of tests.")] = None,
    record: Annotated[
        bool, typer.Option("--record", help="Print a test made from events on record, with their present results.")
    ] = False,
    source: Annotated[
        str | None, typer.Option(help="With --record: only events of this source.", show_default=False)
    ] = None,
    last: Annotated[str, typer.Option(help="With --record: events of the last 1h, 24h, ….")] = "1h",
    config: ConfigOption = None,
    output: OutputOption = Output.text,
) -> None:
    """Run routing tests in simulated time: a day of timers takes milliseconds. Exits with 1 if one fails.

    Example: relay test tests/*.yaml
    """
    if record:
        _record(config, source, last)
        return
    if not files:
        fail("give files of tests, like `relay test FILE...`, or --record to make one", 2)
    verdicts = [verdict for file in files for verdict in _run(file, config)]
    failed = sum(not verdict.passed for verdict in verdicts)
    if output is Output.json:
        print_json([_as_json(verdict) for verdict in verdicts])
    else:
        from relay.app.trial.routing_tests import report

        for verdict in verdicts:
            say("\n".join(report(verdict)))
        say(f"{len(verdicts) - failed} passed, {failed} failed")
    if failed:
        raise typer.Exit(EXIT_NO)


def _run(file: Path, config: Path | None) -> list[Verdict]:
    import asyncio

    from relay.app.trial.routing_tests import read_tests, run_case
    from relay.app.trial.steps import BadTestError
    from relay.logs import make_log

    log = make_log("error")
    try:
        tests = read_tests(file)
        loaded = load_config(config or file.parent / tests.config, EXIT_NO)
        return [asyncio.run(run_case(case, loaded, file.parent, log)) for case in tests.tests]
    except BadTestError as error:
        fail(str(error), 2)


def _record(config: Path | None, source: str | None, last: str) -> None:
    import asyncio
    import sys

    import msgspec
    import yaml

    from relay.app.trial.routing_tests import record, run_case, with_expectations
    from relay.cli.history import events_of_the_last
    from relay.logs import make_log

    loaded = load_config(config)
    events = [event for event in events_of_the_last(loaded, last, source) if event["source"] in loaded.settings.sources]
    if not events:
        fail(f"there are no events of {source or 'any source'} in the last {last}")
    made = record(f"recorded at {events[0]['received_at']}", events, str(Path(loaded.file).resolve()))
    verdict = asyncio.run(run_case(made.tests[0], loaded, Path(), make_log("error")))
    case = with_expectations(made.tests[0], verdict)
    shown = {key: value for key, value in msgspec.to_builtins(case).items() if key == "expect" or value != []}
    document = {"config": made.config, "tests": [shown]}
    yaml.safe_dump(document, sys.stdout, sort_keys=False, allow_unicode=True, width=160)


def _as_json(verdict: Verdict) -> dict[str, Any]:
    import msgspec

    return {
        "name": verdict.case.name,
        "passed": verdict.passed,
        "missing": msgspec.to_builtins(verdict.missing),
        "sent": [
            {"at": round(one.at - verdict.start, 3), "room": one.room, "action": one.action, "markdown": one.markdown}
            for one in sorted((*verdict.met, *verdict.other), key=lambda sent: sent.at)
        ],
    }
