"""/metrics: for who may ask, in a form that Prometheus reads, without anything about a patient."""

from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from openmrs_sync.models import Alert
from tests.records import Chart, fill_district_hospital, make_hospital, make_patient

pytestmark = pytest.mark.django_db
NOW = timezone.now()


@pytest.fixture
def scraped(settings: Any) -> Any:
    settings.METRICS_TOKEN = "a-token"

    def scrape() -> dict[str, dict[tuple[str, ...], float]]:
        answer = Client().get("/metrics", headers={"authorization": "Bearer a-token"})
        assert answer.status_code == 200
        return {
            family.name: {tuple(sample.labels.values()): sample.value for sample in family.samples}
            for family in text_string_to_metric_families(answer.content.decode())
        }

    return scrape


def test_a_hospitals_figures_are_there(scraped: Any) -> None:
    hospital = make_hospital(name="Ruhengeri", code="ruhengeri", now=NOW)
    chart = Chart(patient=make_patient(national_id="1199780012345678", now=NOW), hospital=hospital, now=NOW)
    fill_district_hospital(chart)
    chart.save()
    Alert.objects.create(kind="stopped", hospital=hospital, open_key="x", began_at=NOW)
    figures = scraped()
    assert figures["passport_hospital_stored_records"] == {("ruhengeri",): chart.link.n_stored}
    assert figures["passport_hospital_live"] == {("ruhengeri",): 1}
    assert figures["passport_hospital_unexplained_rows"] == {("ruhengeri",): 0}
    assert figures["passport_links"] == {("ruhengeri", "linked"): 1}
    assert figures["passport_alerts"][("stopped",)] == 1
    assert figures["passport_audit_rows"][()] >= 1


def test_an_empty_passport_has_figures_too(scraped: Any) -> None:
    assert scraped()["passport_worker_alive"] == {(): 0}


def test_a_hospital_never_read_has_no_lag_rather_than_a_wrong_one(scraped: Any) -> None:
    hospital = make_hospital(name="New", now=NOW)
    hospital.breaker.delete()
    assert scraped()["passport_hospital_lag_seconds"] == {}


def test_no_patient_is_in_it(scraped: Any) -> None:
    chart = Chart(
        patient=make_patient(national_id="1199780012345678", now=NOW, given_name="Marked", family_name="Nyirasafari"),
        hospital=make_hospital(name="Ruhengeri", now=NOW),
        now=NOW,
    )
    fill_district_hospital(chart)
    chart.save()
    page = Client().get("/metrics", headers={"authorization": "Bearer a-token"}).content.decode()
    assert not any(
        word in page for word in ("1199780012345678", "Marked", "Nyirasafari", "Hypertension", str(chart.patient.pk))
    )


@pytest.mark.parametrize(
    "token, headers, address, status",
    [
        ("secret", {}, "127.0.0.1", 404),
        ("secret", {"Authorization": "Bearer wrong"}, "127.0.0.1", 404),
        ("secret", {"Authorization": "Bearer secret"}, "10.0.0.9", 200),
        ("", {}, "127.0.0.1", 200),
        ("", {}, "::1", 200),
        ("", {}, "10.0.0.9", 404),
        ("", {"X-Forwarded-For": "127.0.0.1"}, "127.0.0.1", 404),
        ("", {"Authorization": "Bearer "}, "10.0.0.9", 404),
    ],
)
def test_who_may_ask(token: str, headers: dict[str, str], address: str, status: int, settings: Any) -> None:
    settings.METRICS_TOKEN, settings.DEBUG = token, False
    assert Client(REMOTE_ADDR=address).get("/metrics", headers=headers).status_code == status
