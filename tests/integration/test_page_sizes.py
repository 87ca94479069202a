"""The first load of every page of a record, as it is sent: without compression, under 100 KB in all."""

import re
from pathlib import Path
from typing import Any

import pytest
from django.contrib.staticfiles import finders
from django.test import Client
from django.utils import timezone

from tests.records import Chart, make_hospital, make_patient, number

pytestmark = pytest.mark.django_db

LARGEST_FIRST_LOAD = 100_000
#: As long as a page shows of it, and in a script of two bytes a letter.
NOTE = "ملاحظة " * 120


@pytest.fixture
def browser(settings: Any) -> Client:
    """The passport of someone of whom each page has far more to show than it can hold."""
    Path(settings.STATIC_ROOT).mkdir(exist_ok=True)
    now = timezone.now()
    patient = make_patient(national_id="1198180012345678", username="alice", now=now)
    for name in ("Kigali", "Remera", "Butaro"):
        chart = Chart(patient=patient, hospital=make_hospital(name=name, code=name.lower(), now=now), now=now)
        for index in range(150):
            at = chart.moment(index * 20, "09:00:00")
            chart.add(concept=f"Test of the blood number {index}", at=at, **number(4 + index % 5, "mmol/L", 5, 7))
            chart.add(concept="Glucose", at=at, **number(4 + index % 5, "mmol/L", 5, 7))
            chart.add(concept="Note of the doctor", value=NOTE, category="other", at=at, visit_id=index // 60)
            order = {"started": at, "instructions": "After the meal, with much water. " * 4}
            drug = f"Medicine number {index} 500 mg tablet"
            chart.add(concept=drug, value=NOTE[:90], table="orders", category="medication", at=at, details=order)
            chart.add(
                concept="Condition", value=f"Disease number {index}", table="conditions", category="condition", at=at
            )
        chart.save()
    client = Client()
    client.force_login(patient.user)  # type: ignore[arg-type]
    return client


def first_load(browser: Client, address: str) -> int:
    """Bytes of the page and of each file of ours that it names."""
    answer = browser.get(address)
    assert answer.status_code == 200
    named = set(re.findall(r'(?:href|src)="/static/([^"#]+)', answer.text))
    assert {"passport/app.css", "passport/icons.svg"} <= named
    return len(answer.content) + sum(Path(str(finders.find(name))).stat().st_size for name in named)


@pytest.mark.parametrize("language", ["en", "fr", "rw"])
def test_no_page_of_a_record_is_larger_than_a_slow_line_can_carry(browser: Client, language: str) -> None:
    browser.cookies["django_language"] = language
    history = browser.get("/history/").text
    further = re.findall(r'href="(/history/\?cursor=[^"]+)"', history)
    trend = re.findall(r'href="(/results/[^"?]+)"', browser.get("/results/?q=glucose").text)
    entry = re.findall(r'href="(/records/[^"?]+)"', history)
    pages = ["/", "/history/", further[-1], "/history/?category=other&q=note", "/history/?flagged=1", entry[0]]
    pages += ["/results/", trend[0], "/medicines/", "/who-looked/", "/permissions/", "/share/"]
    sizes = {page: first_load(browser, page) for page in pages}
    assert {page: size for page, size in sizes.items() if size >= LARGEST_FIRST_LOAD} == {}
