"""What watches the relay names metrics that there are."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from relay.core.findings import found
from relay.web.metrics import Metrics

CONFIG = Path(__file__).parents[2] / "config"
_METRIC = re.compile(r"\brelay_[a-z_]+")


def exposed() -> set[str]:
    metrics = Metrics(["lab"], {"noc": "webex"}, 1)
    metrics.set_feed("lab", connected=True, last_message_at=1.0)
    metrics.set_rooms({"noc": 0}, {"noc": 0.0}, {"noc": 0}, set())
    metrics.set_findings([found("hangs", "It hangs.", "Restart it.")])
    families = text_string_to_metric_families(metrics.expose().decode())
    return {sample.name for family in families for sample in family.samples} | {"relay_template_failures_total"}


def expressions() -> list[str]:
    rules = yaml.safe_load((CONFIG / "prometheus-rules.yaml").read_text(encoding="utf-8"))
    panels = json.loads((CONFIG / "grafana-dashboard.json").read_text(encoding="utf-8"))["panels"]
    found = [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    return found + [target["expr"] for panel in panels for target in panel["targets"]]


@pytest.mark.parametrize("expression", expressions())
def test_rules_and_dashboard_ask_for_metrics_that_there_are(expression: str) -> None:
    assert set(_METRIC.findall(expression)) <= exposed()


def test_every_rule_says_what_and_how_bad() -> None:
    rules = yaml.safe_load((CONFIG / "prometheus-rules.yaml").read_text(encoding="utf-8"))["groups"][0]["rules"]
    assert all(rule["annotations"]["summary"] for rule in rules)
    assert {rule["labels"]["severity"] for rule in rules} <= {"critical", "major", "minor"}
    assert len({rule["alert"] for rule in rules}) == len(rules)
