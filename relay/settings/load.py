"""Loading a configuration: read, validate, cross-check; all problems at once."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path
from zlib import crc32

import msgspec
from pydantic import ValidationError

from relay.settings.crosscheck import cross_check
from relay.settings.document import Document, read_text
from relay.settings.model import Settings, TemplateFile
from relay.settings.problems import ConfigurationError, Problem, dotted
from relay.settings.secrets import SecretError, secrets_of
from relay.settings.sentences import problem_of


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """A configuration that can be used; `warnings` may still be worth a look. `digest` changes with its text."""

    settings: Settings
    templates: dict[str, str]
    warnings: tuple[Problem, ...]
    file: str
    digest: int
    document: Document

    @property
    def storage(self) -> Path:
        """The database file."""
        if self.settings.storage is not None:
            return Path(self.settings.storage.removeprefix("sqlite:"))
        return Path(os.environ.get("STATE_DIRECTORY", ".").split(":")[0]) / "relay.db"


def load(file: Path, formats: Collection[str], environment: Mapping[str, str] | None = None) -> Loaded:
    """Read a configuration that may name these formats. Raises `ConfigurationError` with all that is wrong."""
    document = Document(environment)
    document.read(file)
    problems = list(document.problems)
    try:
        settings = Settings.model_validate(document.values, context={"base": file.parent})
    except ValidationError as error:
        problems += [problem_of(detail, document) for detail in error.errors(include_url=False)]
        raise ConfigurationError(sorted(set(problems))) from None
    templates = _templates(settings, document, problems)
    problems += cross_check(settings, document, formats)
    errors = [problem for problem in problems if problem.level == "error"]
    if errors:
        raise ConfigurationError(sorted(set(problems)))
    return Loaded(
        settings=settings,
        templates=templates,
        warnings=tuple(sorted(set(problems))),
        file=str(file),
        digest=crc32(document.text),
        document=document,
    )


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
            said = f"{template.file} {error.problems[0].message}"
            problems.append(Problem(document.mark(path), f"templates.{name}.file", said))
    return texts


def check_secrets(loaded: Loaded) -> list[Problem]:
    """Secrets that can't be had now."""
    problems: list[Problem] = []
    for path, ref in secrets_of(loaded.settings):
        try:
            ref.resolve()
        except SecretError as error:
            problems.append(Problem(loaded.document.mark(path), dotted(path), str(error)))
    return problems
