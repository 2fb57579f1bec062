"""Checks of a configuration that need the adapters: mappings, signatures, certificates and templates."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path as FilePath

from relay.app.assembly.reading import defaults_of, format_name, mapping_of
from relay.app.assembly.tls import client_context, server_context
from relay.app.trial.trying import Finding, try_all
from relay.core.redaction import SHORTEST
from relay.formats import FORMATS
from relay.formats.expressions import Expression
from relay.formats.mapping import OPTIONAL, make_mapping
from relay.formats.wanted import When
from relay.settings.accounts import ClientTls
from relay.settings.auth import AuthSettings
from relay.settings.load import Loaded, card_files, check_machine, load
from relay.settings.maps import MapSettings
from relay.settings.problems import ConfigurationError, Path, Problem, dotted
from relay.settings.secrets import SecretError, secrets_of
from relay.settings.sources import ApicSettings, PostedSettings, WebsocketSettings


def _signature_problems(loaded: Loaded) -> list[Problem]:
    """Return a problem for each source that requires a signature that its senders do not make."""
    found: list[Problem] = []
    for name, source in loaded.settings.sources.items():
        auth = source.auth if isinstance(source, PostedSettings) else None
        if not isinstance(auth, AuthSettings):
            continue
        format_ = format_name(source)
        if auth.sns is not None and format_ != "aws-sns":
            message = f"works only with the format aws-sns, found {format_}"
            found.append(_problem(loaded, ("sources", name, "auth", "sns"), message))
        if auth.signature is None or format_ not in FORMATS:  # an unknown format is reported as such
            continue
        if FORMATS[format_].scheme is None:
            message = f"expected bearer, basic or header: senders of the format {format_} do not sign"
            found.append(_problem(loaded, ("sources", name, "auth", "signature"), message))
    return found


def check_file(file: FilePath, *, machine: bool) -> tuple[Loaded | None, list[Problem]]:
    """Return a configuration, or None if it has errors, and all problems in the order of the file.

    With `machine`, check also that secrets and directories exist on this machine.
    """
    try:
        loaded = load(file, FORMATS)
    except ConfigurationError as error:
        return None, every_problem(error, machine=machine)
    problems = sorted({*loaded.warnings, *_of_adapters(loaded, machine=machine)})
    return None if any(problem.level == "error" for problem in problems) else loaded, problems


def every_problem(error: ConfigurationError, *, machine: bool) -> list[Problem]:
    """Return the problems of an error, and those that only the adapters find in what is right or was mended."""
    rest = error.rest
    return sorted({*error.problems, *(_of_adapters(rest, machine=machine) if isinstance(rest, Loaded) else ())})


def _of_adapters(loaded: Loaded, *, machine: bool) -> list[Problem]:
    found = [*adapter_problems(loaded), *(check_machine(loaded) if machine else ())]
    return [problem for problem in found if not loaded.follows(problem)]


def adapter_problems(loaded: Loaded) -> list[Problem]:
    """Return the problems that only the adapters find.

    Errors are mappings and `when` expressions that do not compile, signatures that nobody makes, and certificates that
    can't be loaded. Templates that fail or are slow on a sample, and secrets too short to be redacted, are found too.
    """
    found = [
        *_mapping_problems(loaded),
        *_when_problems(loaded),
        *_signature_problems(loaded),
        *_tls_problems(loaded),
        *_short_secrets(loaded),
    ]
    return [*found, *_located(loaded, try_all(loaded.templates, loaded.cards, loaded.settings.timezone))]


def _short_secrets(loaded: Loaded) -> list[Problem]:
    """Return a warning for each secret that is too short to be redacted from texts."""
    found: list[Problem] = []
    for path, ref in secrets_of(loaded.settings):
        with suppress(SecretError):  # a missing secret is reported where it is used
            if len(ref.resolve()) < SHORTEST:
                message = f"the secret has fewer than {SHORTEST} characters, so logs may show it; use a longer one"
                found.append(Problem(loaded.document.mark(path), dotted(path), message, "warning"))
    return found


def _located(loaded: Loaded, findings: Sequence[Finding]) -> list[Problem]:
    """Return findings as problems at the places of their templates and cards."""
    cards: dict[str, list[Path]] = {}
    for path, file in card_files(loaded.settings):
        cards.setdefault(str(file), []).append(path)
    found: list[Problem] = []
    for one in findings:
        places: list[Path] = cards.get(one.name, []) if one.kind == "card" else [("templates", one.name)]
        found += (Problem(loaded.document.mark(at), dotted(at), one.message, one.level) for at in places)
    return found


def _tls_problems(loaded: Loaded) -> list[Problem]:
    found: list[Problem] = []
    settings = loaded.settings
    if settings.listen.tls is not None:
        try:
            server_context(settings.listen.tls)
        except (OSError, ValueError) as error:
            found.append(_problem(loaded, ("listen", "tls"), str(error)))
    clients: list[tuple[Path, ClientTls]] = [
        *((("accounts", name, "tls"), account.tls) for name, account in settings.accounts.items()),
        *(
            (("sources", name, "tls"), source.tls)
            for name, source in settings.sources.items()
            if isinstance(source, (WebsocketSettings, ApicSettings))
        ),
    ]
    for path, tls in clients:
        if tls.ca is None:
            continue  # the system's authorities take a while to read, and can't be wrong here
        try:
            client_context(tls)
        except OSError as error:
            found.append(_problem(loaded, (*path, "ca"), str(error)))
    return found


def _mapping_problems(loaded: Loaded) -> list[Problem]:
    found: list[Problem] = []
    for name, source in loaded.settings.sources.items():
        if source.map is None:
            continue
        before = len(found)
        for path, expression in _expressions(source.map):
            try:
                Expression(expression)
            except ValueError as error:
                found.append(_problem(loaded, ("sources", name, "map", *path), str(error)))
        if len(found) == before:
            make_mapping(mapping_of(source.map))
    return found


def _when_problems(loaded: Loaded) -> list[Problem]:
    found: list[Problem] = []
    for name, source in loaded.settings.sources.items():
        if source.when is None:
            continue
        try:
            When(source.when, defaults_of(name, source))
        except ValueError as error:
            found.append(_problem(loaded, ("sources", name, "when"), str(error)))
    return found


def _expressions(settings: MapSettings) -> list[tuple[Path, str]]:
    mapping = mapping_of(settings)
    single = [((name,), getattr(mapping, name)) for name in ("each", "title", *OPTIONAL)]
    nested = [((kind, name), text) for kind in ("labels", "links") for name, text in getattr(mapping, kind).items()]
    return [(path, text) for path, text in (*single, *nested) if text is not None]


def _problem(loaded: Loaded, path: Path, message: str) -> Problem:
    return Problem(loaded.document.mark(path), dotted(path), message)
