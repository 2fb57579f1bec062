"""Loading a configuration: read, validate, cross-check, and report all problems at once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from zlib import crc32

import msgspec

from relay.settings.crosscheck import cross_check
from relay.settings.document import Document, read_text
from relay.settings.mending import Mending
from relay.settings.model import Settings
from relay.settings.problems import ConfigurationError, Problem, dotted
from relay.settings.problems import Path as Path_
from relay.settings.rooms import TemplateFile
from relay.settings.routing import RouteSettings
from relay.settings.secrets import SecretError, secrets_of


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """A configuration that can be used, with its `warnings`.

    `digest` changes when the text of a file changes. `follows` says of a problem that it is only a consequence of
    another one: such problems occur in the `rest` of a `ConfigurationError`, in which faults are mended.
    """

    settings: Settings
    templates: dict[str, str]
    cards: dict[str, str]
    warnings: tuple[Problem, ...]
    file: str
    formats: Mapping[str, object]
    digest: int
    document: Document
    follows: Callable[[Problem], bool]

    def again(self) -> Loaded:
        """Return the configuration read again from the same file. Raises `ConfigurationError`."""
        return load(Path(self.file), self.formats, self.document.environment)

    @property
    def storage(self) -> Path:
        """Return the path of the database file."""
        if self.settings.storage is not None:
            return Path(self.settings.storage.removeprefix("sqlite:"))
        return default_storage()


def default_storage() -> Path:
    """Return the path of the database file if `storage` is not set."""
    return Path(os.environ.get("STATE_DIRECTORY", ".").split(":")[0]) / "relay.db"


def only_storage(file: Path, storage: Path) -> Loaded:
    """Return a configuration that knows nothing but its database, in place of one that can't be read."""
    nothing = {"accounts": {}, "rooms": {}, "route": {"rooms": []}, "storage": f"sqlite:{storage}"}
    return Loaded(
        settings=Settings.model_validate(nothing, context={"base": file.parent, "names": set()}),
        templates={},
        cards={},
        warnings=(),
        file=str(file),
        formats={},
        digest=0,
        document=Document(),
        follows=lambda _: False,
    )


def load(file: Path, formats: Mapping[str, object], environment: Mapping[str, str] | None = None) -> Loaded:
    """Return a configuration that may name these formats. Raises `ConfigurationError` with all problems."""
    document = Document(environment)
    document.read(file)
    mending = Mending(document, file.parent)
    settings = mending.settings()
    problems = [*document.problems, *mending.problems]
    if settings is None:
        raise ConfigurationError(sorted(set(problems)))
    templates = _templates(settings, document, problems)
    cards = _cards(settings, document, problems)
    problems += (one for one in cross_check(settings, document, formats) if not mending.follows(one))
    loaded = Loaded(
        settings=settings,
        templates=templates,
        cards=cards,
        warnings=tuple(sorted({problem for problem in problems if problem.level == "warning"})),
        file=str(file),
        formats=formats,
        digest=crc32(repr((document.text, templates, cards)).encode()),
        document=document,
        follows=mending.follows,
    )
    if any(problem.level == "error" for problem in problems):
        raise ConfigurationError(sorted(set(problems)), loaded)
    return loaded


def _templates(settings: Settings, document: Document, problems: list[Problem]) -> dict[str, str]:
    texts: dict[str, str] = {}
    for name, template in settings.templates.items():
        if not isinstance(template, TemplateFile):
            texts[name] = template
            continue
        try:
            texts[name] = read_text(template.file)
        except ConfigurationError as error:
            path = ("templates", name, "file")
            message = f"{template.file}: {error.problems[0].message}"
            problems.append(Problem(document.mark(path), f"templates.{name}.file", message))
    return texts


def card_files(settings: Settings) -> Iterator[tuple[Path_, Path]]:
    """Yield the files of all cards, each with its path in the configuration."""
    for name, room in settings.rooms.items():
        if room.card is not None:
            yield ("rooms", name, "card", "file"), room.card.file
    routes: list[tuple[Path_, RouteSettings]] = [(("route",), settings.route)]
    for path, route in routes:
        if route.card is not None:
            yield (*path, "card", "file"), route.card.file
        routes += (((*path, "routes", number), child) for number, child in enumerate(route.routes))


def _cards(settings: Settings, document: Document, problems: list[Problem]) -> dict[str, str]:
    """Return the texts of all cards, by file name."""
    texts: dict[str, str] = {}
    for path, file in card_files(settings):
        try:
            texts[str(file)] = read_text(file)
        except ConfigurationError as error:
            problems.append(Problem(document.mark(path), dotted(path), f"{file}: {error.problems[0].message}"))
    return texts


def check_machine(loaded: Loaded) -> list[Problem]:
    """Return a problem for each secret and each directory of files that is missing on this machine now."""
    problems: list[Problem] = []
    for number, directory in enumerate(loaded.settings.files.directories):
        if not directory.is_dir():
            path: Path_ = ("files", "directories", number)
            message = f"there is no directory {directory} now"
            problems.append(Problem(loaded.document.mark(path), dotted(path), message, "warning"))
    return [*problems, *missing_secrets(loaded)]


def missing_secrets(loaded: Loaded) -> list[Problem]:
    """Return a problem for each secret that is missing now."""
    problems: list[Problem] = []
    for path, ref in secrets_of(loaded.settings):
        try:
            ref.resolve()
        except SecretError as error:
            problems.append(Problem(loaded.document.mark(path), dotted(path), str(error)))
    return problems
