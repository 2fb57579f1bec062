"""What only the adapters can tell of a configuration: mappings that don't compile, templates that don't render."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from relay.app.reading import format_name, make_format, mapping_of
from relay.app.tls import client_context, server_context
from relay.app.trying import Finding, try_all
from relay.core.redaction import SHORTEST
from relay.formats import FORMATS
from relay.formats.expressions import Expression
from relay.formats.mapping import OPTIONAL
from relay.settings.load import Loaded, card_files
from relay.settings.model import ApicSettings, AuthSettings, ClientTls, MapSettings, PostedSettings, WebsocketSettings
from relay.settings.problems import Path, Problem, dotted
from relay.settings.secrets import SecretError, secrets_of


def _signature_problems(loaded: Loaded) -> list[Problem]:
    """Sources that ask for a signature that their senders don't make."""
    found: list[Problem] = []
    for name, source in loaded.settings.sources.items():
        auth = source.auth if isinstance(source, PostedSettings) else None
        if not isinstance(auth, AuthSettings):
            continue
        format_ = format_name(source)
        if auth.sns is not None and format_ != "aws-sns":
            said = f"goes with the format aws-sns; the source's is {format_}"
            found.append(_problem(loaded, ("sources", name, "auth", "sns"), said))
        if auth.signature is None:
            continue
        if format_ not in FORMATS or FORMATS[format_].scheme is None:
            said = f"what comes in the format {format_} is not signed; bearer, basic or header would be right"
            found.append(_problem(loaded, ("sources", name, "auth", "signature"), said))
    return found


def adapter_problems(loaded: Loaded) -> list[Problem]:
    """Mappings that can't be compiled, signatures that nobody makes, certificates that can't be had, templates that
    fail on a sample or take long."""
    found = [*_mapping_problems(loaded), *_signature_problems(loaded), *_tls_problems(loaded), *_short_secrets(loaded)]
    return [*found, *_located(loaded, try_all(loaded.templates, loaded.cards, loaded.settings.timezone))]


def _short_secrets(loaded: Loaded) -> list[Problem]:
    """Secrets that are too short to be taken out of texts."""
    found: list[Problem] = []
    for path, ref in secrets_of(loaded.settings):
        with suppress(SecretError):  # reported where the secret is used
            if len(ref.resolve()) < SHORTEST:
                said = f"the secret has fewer than {SHORTEST} characters: logs and errors may show it; use a longer one"
                found.append(Problem(loaded.document.mark(path), dotted(path), said, "warning"))
    return found


def _located(loaded: Loaded, findings: Sequence[Finding]) -> list[Problem]:
    """Findings at the places of what they are about."""
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
            make_format(source)
    return found


def _expressions(settings: MapSettings) -> list[tuple[Path, str]]:
    mapping = mapping_of(settings)
    single = [((name,), getattr(mapping, name)) for name in ("each", "title", *OPTIONAL)]
    nested = [((kind, name), text) for kind in ("labels", "links") for name, text in getattr(mapping, kind).items()]
    return [(path, text) for path, text in (*single, *nested) if text is not None]


def _problem(loaded: Loaded, path: Path, message: str) -> Problem:
    return Problem(loaded.document.mark(path), dotted(path), message)
