"""Reloading: everything that can fail happens first, then one swap; a refused configuration changes nothing."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import msgspec

from relay.app.assembly.arrangement import Arrangement
from relay.app.trial.checks import adapter_problems, every_problem
from relay.core.routing import confusable
from relay.lifecycle import notify
from relay.pipeline.loop import LONGEST_REST, Loop
from relay.ports import Clock, Log
from relay.settings.load import Loaded, card_files, missing_secrets
from relay.settings.model import Settings
from relay.settings.problems import ConfigurationError, Mark, Problem
from relay.settings.rooms import TemplateFile
from relay.settings.rules import compile_rules
from relay.settings.secrets import SecretError
from relay.templates.bounds import TemplateError

LOOK = 2.0
"""Seconds between two checks of the files of a watched configuration."""


class Reload(msgspec.Struct, frozen=True, kw_only=True):
    """The result of an attempt to load the configuration; `at` in Unix seconds.

    `problems` are the errors that refused it, or warnings. `restart` names changed keys that only a restart puts in
    force.
    """

    at: float
    good: bool
    problems: tuple[Problem, ...] = ()
    restart: tuple[str, ...] = ()


class Reloader(Loop):
    """A loop that reloads on request, or when a file of a watched configuration has changed."""

    def __init__(
        self,
        first: Loaded,
        prepare: Callable[[Loaded], Arrangement],
        put: Callable[[Arrangement], Awaitable[bool]],
        clock: Clock,
        log: Log,
        finished: Callable[[Reload], None],
    ) -> None:
        """`prepare` makes all parts of a configuration, and may raise; `put` puts them in force, and must not raise.

        `put` returns False if it is too late, as the relay stops. Each result is passed to `finished`.
        """
        self.loaded = first
        """The configuration in force."""
        self.last = Reload(at=clock.wall(), good=True, problems=first.warnings)
        """The last attempt; the start counts as one."""
        self.good_at = self.last.at
        """The time at which the configuration in force was loaded, in Unix seconds."""
        self._first = first
        self._prepare = prepare
        self._put = put
        super().__init__(clock)
        self._log = log
        self._finished = finished
        self._turn = asyncio.Lock()
        self._asked = False
        self._watched = _files_of(first)
        self._seen = self._looked = _stamps(self._watched)

    def request(self) -> None:
        """Reload soon."""
        self._asked = True
        self.nudge()

    def rest(self) -> float:
        """Return the seconds until the files are looked at again."""
        return LOOK if self.loaded.settings.watch else LONGEST_REST

    async def step(self) -> int:
        """Reload if that is due; return 1 if it was."""
        if not (self._asked or (self.loaded.settings.watch and await self._has_changed())):
            return 0
        self._asked = False
        await self.reload()
        return 1

    async def _has_changed(self) -> bool:
        """Return whether a file has changed and is complete: it must be the same in two checks in a row."""
        stamps, before = await asyncio.to_thread(_stamps, self._watched), self._looked
        self._looked = stamps
        return stamps != self._seen and stamps == before

    async def reload(self) -> Reload:
        """Read the configuration again and put it in force; return the result, also if it is refused."""
        async with self._turn:
            notify("RELOADING=1")
            try:
                return await self._reload()
            finally:
                notify("READY=1")

    async def _reload(self) -> Reload:
        # Before the files are read: a change while they are read is then seen by the next check
        self._seen = await asyncio.to_thread(_stamps, self._watched)
        candidate: Loaded | None = None
        try:
            candidate = await asyncio.to_thread(self.loaded.again)
            problems = await asyncio.to_thread(adapter_problems, candidate)
            if any(problem.level == "error" for problem in problems):
                raise ConfigurationError(problems)
            made = self._prepare(candidate)
        except ConfigurationError as error:
            rest = error.rest if isinstance(error.rest, Loaded) else candidate
            return self._refused(await asyncio.to_thread(every_problem, error, machine=False), rest)
        except SecretError as error:
            missing = () if candidate is None else await asyncio.to_thread(missing_secrets, candidate)
            return self._refused(missing or (self._problem(str(error)),), candidate)
        except (TemplateError, ValueError, OSError) as error:
            return self._refused((self._problem(str(error)),), candidate)
        except Exception as error:  # noqa: BLE001 - the border around an operator's configuration
            self._log.error("reload_bug", error=repr(error), exc_info=error)
            message = f"the relay failed to use it, which is a bug in the relay: {error!r}"
            return self._refused((self._problem(message),), candidate)
        confused = await asyncio.to_thread(_confusable, self.loaded, candidate)
        if not await self._put(made):
            return Reload(at=self._clock.wall(), good=False, problems=(self._problem("not loaded: the relay stops"),))
        return self._done(candidate, confused)

    def _problem(self, message: str) -> Problem:
        return Problem(Mark(self.loaded.file, 1, 1), "", message)

    def _refused(self, problems: Sequence[Problem], candidate: Loaded | None) -> Reload:
        errors = tuple(problem for problem in problems if problem.level == "error")
        self._watched = self._watched | {problem.mark.file for problem in errors}
        if candidate is not None:
            self._watched = self._watched | _files_of(candidate)
        self._seen = {**_stamps(self._watched), **self._seen}
        self.last = Reload(at=self._clock.wall(), good=False, problems=errors)
        self._log.error("reload_failed", problems=[str(problem) for problem in errors])
        self._finished(self.last)
        return self.last

    def _done(self, loaded: Loaded, confused: Sequence[Problem]) -> Reload:
        restart = _only_by_restart(self._first, loaded)
        self.loaded = loaded
        self._watched = _files_of(loaded)
        stamps = _stamps(self._watched)
        self._seen = {name: self._seen.get(name, stamp) for name, stamp in stamps.items()}
        warnings = (*loaded.warnings, *confused)
        self.last = Reload(at=self._clock.wall(), good=True, problems=warnings, restart=restart)
        self.good_at = self.last.at
        self._log.notice("reloaded", restart_needed=list(restart), warnings=[str(one) for one in warnings])
        self._finished(self.last)
        return self.last


def _confusable(before: Loaded, after: Loaded) -> list[Problem]:
    """Return a warning for each set of routes with equal matchers that changed: only their order identifies them."""
    found: list[Problem] = []
    for first, *others in confusable(compile_rules(before.settings).root, compile_rules(after.settings).root):
        names = ", ".join(others) or "a removed route"
        message = f"has the same matchers as {names}, and these routes changed: open incidents follow their order"
        steps = [int(step) if step.isdigit() else step for step in re.findall(r"\w+", first)]
        found.append(Problem(after.document.mark(tuple(steps)), first, message, "warning"))
    return found


def _only_by_restart(first: Loaded, loaded: Loaded) -> tuple[str, ...]:
    """Return the changed keys that a process keeps from its start to its end."""
    was, is_ = first.settings.listen, loaded.settings.listen
    found = {
        "listen.events": was.events != is_.events,
        "listen.admin": was.admin != is_.admin,
        "listen.tls": was.tls != is_.tls,
        "storage": first.storage != loaded.storage,
        "log": first.settings.log != loaded.settings.log,
    }
    return tuple(name for name, differs in found.items() if differs)


def _files_of(loaded: Loaded) -> frozenset[str]:
    """Return all files of a configuration: its own, and those of templates and cards."""
    settings: Settings = loaded.settings
    templates = [str(one.file) for one in settings.templates.values() if isinstance(one, TemplateFile)]
    return frozenset([*loaded.document.files, *templates, *(str(file) for _, file in card_files(settings))])


def _stamps(files: frozenset[str]) -> dict[str, tuple[int, ...]]:
    """Return values that change with a file, by name: its device and inode, its time and its size."""
    return {name: _stamp(name) for name in files}


def _stamp(name: str) -> tuple[int, ...]:
    try:
        found = Path(name).stat()
    except OSError:
        return ()
    return (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size)
