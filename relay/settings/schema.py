"""The configuration's JSON Schema, for editors and CI."""

from __future__ import annotations

import json

from relay.settings.model import Settings


def schema_text() -> str:
    """Return the schema as indented JSON with a line end."""
    schema = Settings.model_json_schema(by_alias=True)
    document = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "relay.yaml"}
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
