"""The alert rules and the Grafana dashboard use only metrics and labels that /metrics returns."""

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.test import Client
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families
from pytest_django import Settings

from medtrack.celery import app
from medtrack.tests.support.builders import device_of, dose_due
from notifications import queue
from notifications.engine_state import OVERDUE_AFTER, record_heartbeat
from notifications.models import EngineCheck, Heartbeat
from notifications.queue import PushResult
from notifications.task_runs import record_success
from notifications.transports.results import FcmResult, FcmResultKind
from users.actions import Credentials

ROOT = Path(__file__).resolve().parents[3]
RULES = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text())["groups"][0]["rules"]
DASHBOARD = json.loads((ROOT / "deploy/grafana/medtrack.json").read_text())

NAME = re.compile(r"\b((?:medtrack|process)_[a-z_]+)(\{[^}]*\})?")
LABEL = re.compile(r'(\w+)\s*(?:=~|!~|!=|=)\s*"([^"]*)"')
# Prometheus itself adds this one.
OF_PROMETHEUS = 'up{job="medtrack"} == 0'


def expressions() -> Iterator[str]:
    yield from (rule["expr"] for rule in RULES)
    for panel in DASHBOARD["panels"]:
        yield from (target["expr"] for target in panel["targets"])


@pytest.fixture
def samples(ana: Credentials, cleo: Credentials, settings: Settings) -> dict[str, list[dict[str, str]]]:
    """Returns the samples by the name of their series, after everything has happened once."""
    settings.METRICS_TOKEN = "secret"
    device_of(ana.user)
    for person in (ana, cleo):
        dose_due(person.user, timezone.now() - timedelta(seconds=5))
    queue.enqueue()
    (push,) = queue.claim(limit=10, lease=timedelta(seconds=25)).pushes
    accepted = FcmResult(FcmResultKind.ACCEPTED, message_id="projects/p/messages/1")
    queue.mark([PushResult(push, dict.fromkeys(push.devices, accepted), None)])
    for process in Heartbeat.Process.values:
        record_heartbeat(process)
    for task in OVERDUE_AFTER:
        record_success(task, seconds=1)
    EngineCheck.objects.create(seconds=1, violations={})
    Client().get("/livez")
    page = Client().get("/metrics", headers={"Authorization": "Bearer secret"}).content.decode()
    samples: dict[str, list[dict[str, str]]] = {}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            samples.setdefault(sample.name, []).append(sample.labels)
    return samples


def test_every_metric_and_label_that_is_queried_exists(samples: dict[str, Any]) -> None:
    queried = 0
    for expression in expressions():
        names = NAME.findall(expression)
        assert names or expression == OF_PROMETHEUS
        for name, selector in names:
            queried += 1
            assert name in samples, expression
            labels = {label for series in samples[name] for label in series}
            assert {label for label, _ in LABEL.findall(selector)} <= labels, expression
    assert queried > 40


def test_the_labels_in_sums_and_legends_exist(samples: dict[str, Any]) -> None:
    queries = [
        (target["expr"], target["legendFormat"])
        for panel in DASHBOARD["panels"]
        for target in panel["targets"]
    ]
    queries += [(rule["expr"], " ".join(rule["annotations"].values())) for rule in RULES]
    for expression, words in queries:
        labels = {
            label for name, _ in NAME.findall(expression) for series in samples[name] for label in series
        }
        grouped = re.findall(r"by \(([^)]*)\)", expression)
        used_labels = {label for group in grouped for label in group.replace(" ", "").split(",")}
        used_labels |= set(re.findall(r"\{\{\s*(?:\$labels\.)?([a-z_]+)\s*\}\}", words))
        assert used_labels <= labels, (expression, words)


def test_the_processes_and_tasks_of_the_rules_exist() -> None:
    values: dict[str, set[str]] = {}
    for rule in RULES:
        for label, value in LABEL.findall(rule["expr"]):
            values.setdefault(label, set()).update(value.split("|"))
    assert values["process"] == set(Heartbeat.Process.values)
    ticked = {entry["task"].rpartition(".")[2] for entry in app.conf.beat_schedule.values()}
    assert values["task"] == ticked


def test_tasks_are_overdue_after_the_same_time_in_the_rules_and_in_the_console() -> None:
    (expression,) = (rule["expr"] for rule in RULES if rule["alert"] == "MedTrackTaskOverdue")
    limits = {
        task: float(seconds)
        for tasks, seconds in re.findall(r'task=~?"([^"]+)"\} > (\d+)', expression)
        for task in tasks.split("|")
    }
    assert limits == {name.rpartition(".")[2]: after.total_seconds() for name, after in OVERDUE_AFTER.items()}


def test_every_metric_is_used_by_a_rule_or_panel(samples: dict[str, Any]) -> None:
    queried = {
        re.sub("_(bucket|sum|count)$", "", name) for text in expressions() for name, _ in NAME.findall(text)
    }
    exported = {
        re.sub("_(bucket|sum|count|created)$", "", name) for name in samples if name.startswith("medtrack_")
    }
    assert exported - queried == set()


def test_every_alert_has_a_summary() -> None:
    assert len({rule["alert"] for rule in RULES}) == len(RULES)
    for rule in RULES:
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert rule["annotations"]["summary"].endswith((".", "?"))


def test_the_panels_do_not_overlap() -> None:
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in DASHBOARD["panels"])
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
