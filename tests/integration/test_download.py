"""Download my data: asked for on the page, made by a worker, fetched by the patient alone, deleted by the clock."""

import csv
import datetime as dt
import io
import json
import re
import zipfile
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.cache import cache
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext, override
from django_q.models import OrmQ

from openmrs_sync import tasks
from passport.corrections import asking
from passport.models import AuditEvent, Download, DownloadPart, Hide, Record, User
from passport.sharing import downloads, package
from tests.records import Chart, fill_district_hospital, fill_oddly, make_hospital, make_patient, own_scope

pytestmark = pytest.mark.django_db
VIRAL_LOAD = "856".ljust(36, "A")


class World:
    def __init__(self) -> None:
        self.now = timezone.now()
        hospital = make_hospital(name="Kigali District Hospital", code="kigali", now=self.now)
        self.alice = make_patient(national_id="1198180012345678", username="alice", now=self.now)
        self.bob = make_patient(national_id="1199070098765432", username="bob", given_name="Bob", now=self.now)
        chart = Chart(patient=self.alice, hospital=hospital, now=self.now)
        fill_district_hospital(chart)
        fill_oddly(chart)
        at = chart.moment(1, "10:00:00")
        chart.add(concept="Viral load", value="undetectable", at=at, concept_uuid=VIRAL_LOAD)
        chart.add(concept="=HYPERLINK(1)", value="@SUM(1)", at=at)
        chart.save()

    def browser(self, who: str) -> Client:
        client = Client()
        client.force_login(User.objects.get(username=who))
        return client

    def ask(self, **ticks: Any) -> Download:
        assert self.browser("alice").post(reverse("download"), ticks).status_code == 302
        return Download.objects.latest("asked_at")

    def made(self, **ticks: Any) -> Download:
        download = self.ask(**ticks)
        tasks.make_download(str(download.pk))
        download.refresh_from_db()
        assert download.status == Download.Status.DONE
        return download


@pytest.fixture
def world(settings: Any, tmp_path: Path) -> World:
    cache.clear()
    Path(settings.STATIC_ROOT).mkdir(exist_ok=True)
    settings.VAR_DIR = tmp_path
    return World()


@pytest.fixture
def without_pdf(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the extra is not installed, which also saves seconds."""
    monkeypatch.setitem(__import__("sys").modules, "weasyprint", None)


def test_a_copy_has_everything_and_leaves_nothing_on_the_machine_that_made_it(world: World) -> None:
    download = world.made()
    assert list(Path(settings.VAR_DIR).iterdir()) == []
    answer = world.browser("alice").get(reverse("download_file", args=[download.pk]))
    content = answer.getvalue()
    assert len(content) == int(answer.headers["Content-Length"])
    bundle = zipfile.ZipFile(io.BytesIO(content))
    assert set(bundle.namelist()) == {
        *("README.txt", "record.json", "record.csv", "summary.json", "summary.pdf", "history.pdf")
    }
    whole = json.loads(bundle.read("record.json"))
    rows = list(csv.DictReader(io.StringIO(bundle.read("record.csv").decode("utf-8-sig"), newline="")))
    keys = set(Record.objects.filter(patient_id=world.alice.pk).values_list("key", flat=True))
    assert {entry["id"] for entry in whole["entries"]} == {row["id"] for row in rows} == keys
    assert "withdrawn" in {row["status"] for row in rows}
    assert [each["hospital"] for each in whole["freshness"]] == ["kigali"]
    assert whole["patient"]["national_ids"] == ["1198180012345678"]
    assert json.loads(bundle.read("summary.json"))["type"] == "document"
    assert bundle.read("history.pdf").startswith(b"%PDF-")
    assert all(not cell.startswith(("=", "@")) for row in rows for cell in row.values())


@pytest.mark.parametrize("language, has_pdf, named", [("en", True, ["summary.pdf", "history.pdf"]), ("fr", False, [])])
def test_the_note_beside_the_files_is_in_the_readers_language_and_names_what_is_there(
    language: str, has_pdf: bool, named: list[str], world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(package.pdf, "is_available", lambda: has_pdf)
    monkeypatch.setattr(package.pdf, "pdf_of", lambda html: b"%PDF-")
    User.objects.filter(username="alice").update(language=language)
    answer = world.browser("alice").get(reverse("download_file", args=[world.made().pk]))
    bundle = zipfile.ZipFile(io.BytesIO(answer.getvalue()))
    told = bundle.read("README.txt").decode()
    with override(language):
        first = gettext("Patient Passport: a copy of your record, made %(at)s (UTC).")
    assert told.startswith(first.partition("%")[0])
    assert sorted(re.findall(r"^[a-z]+\.[a-z]+", told, re.M)) == sorted(set(bundle.namelist()) - {"README.txt"})
    assert [name for name in bundle.namelist() if name.endswith(".pdf")] == named


def test_the_table_begins_with_what_people_look_for_and_opens_with_its_accents(world: World, without_pdf: None) -> None:
    answer = world.browser("alice").get(reverse("download_file", args=[world.made().pk]))
    table = zipfile.ZipFile(io.BytesIO(answer.getvalue())).read("record.csv")
    assert table.startswith(b"\xef\xbb\xbfdate,hospital_name,category,concept,value,unit")


def test_a_copy_has_what_was_asked_of_hospitals(world: World, without_pdf: None) -> None:
    record = Record.objects.get(concept="Viral load")
    asking.ask(
        scope=own_scope(world.alice),
        actor=world.alice.user,
        key=record.key,
        reason="date",
        words="It was a day later",
        now=world.now,
    )
    answer = world.browser("alice").get(reverse("download_file", args=[world.made().pk]))
    bundle = zipfile.ZipFile(io.BytesIO(answer.getvalue()))
    (asked,) = json.loads(bundle.read("record.json"))["corrections"]
    assert (asked["hospital__code"], asked["source_id"]) == ("kigali", record.source_id)
    assert (asked["words"], asked["state"]) == ("It was a day later", "asked")


def test_the_pdf_leaves_out_what_is_not_ticked(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    papers: list[str] = []
    monkeypatch.setattr(package.pdf, "pdf_of", lambda html: papers.append(html) or b"%PDF-")
    Hide.objects.create(patient=world.alice, kind="category", category="allergy", created_at=world.now)
    world.made()
    assert "HbA1c" in papers[-1]
    assert "Viral load" not in papers[-1]
    assert "Penicillin" not in papers[-1]
    world.made(sensitive=["hiv"], with_hidden="on")
    assert "Viral load" in papers[-1]
    assert "Penicillin" in papers[-1]


@pytest.mark.usefixtures("without_pdf")
class TestItsLife:
    def test_it_is_queued_once(self, world: World) -> None:
        download = world.ask()
        world.browser("alice").post(reverse("download"))
        assert Download.objects.count() == 1
        assert [task.task["args"] for task in OrmQ.objects.all()] == [(str(download.pk),)]

    def test_a_task_that_is_delivered_twice_makes_it_once(self, world: World) -> None:
        download = world.made()
        assert tasks.make_download(str(download.pk)) == {}

    def test_the_page_says_how_far_it_is(self, world: World) -> None:
        download = world.ask()
        client = world.browser("alice")
        assert "It waits for its turn." in client.get(reverse("download")).content.decode()
        before = client.get(reverse("download_version")).json()
        Download.objects.update(status="running", n_done=200, n_all=500)
        assert "Being made: 200 of 500 entries." in client.get(reverse("download")).content.decode()
        assert client.get(reverse("download_version")).json() != before
        Download.objects.update(status="queued")
        tasks.make_download(str(download.pk))
        assert "Save the file" in client.get(reverse("download")).content.decode()

    def test_another_patient_does_not_get_it(self, world: World) -> None:
        download = world.made()
        answer = world.browser("bob").get(reverse("download_file", args=[download.pk]))
        assert (answer.status_code, answer.headers["Location"]) == (302, reverse("download"))
        assert str(download.pk) not in world.browser("bob").get(reverse("download_version")).content.decode()

    def test_asking_and_fetching_are_written_down(self, world: World) -> None:
        download = world.made()
        assert world.browser("alice").get(reverse("download_file", args=[download.pk])).getvalue()
        told = AuditEvent.objects.filter(action__startswith="download_").order_by("seq")
        assert [(event.action, event.patient_id) for event in told] == [
            ("download_asked", world.alice.pk),
            ("download_fetched", world.alice.pk),
        ]

    @pytest.mark.parametrize("fetched, after", [(False, downloads.KEEP), (True, downloads.KEEP_FETCHED)])
    def test_the_file_is_deleted_when_its_time_is_over(self, fetched: bool, after: dt.timedelta, world: World) -> None:
        download = world.made()
        client, address = world.browser("alice"), reverse("download_file", args=[download.pk])
        if fetched:
            assert client.get(address).getvalue()
        second = dt.timedelta(seconds=1)
        downloads.clean(now=world.now + after - 60 * second)
        assert DownloadPart.objects.exists()
        downloads.clean(now=timezone.now() + after + second)
        assert not DownloadPart.objects.exists()
        assert client.get(address).status_code == 302

    def test_a_file_whose_patient_is_gone_is_deleted(self, world: World) -> None:
        world.made()
        Download.objects.all().delete()
        assert not DownloadPart.objects.exists()

    def test_a_large_file_is_kept_in_parts_and_handed_out_whole(self, world: World) -> None:
        download = world.ask()
        mine = downloads.take(download_id=download.pk, now=world.now)
        content = bytes(range(256)) * (downloads.PART // 256 * 2 + 1)
        assert downloads.done(download=mine, file=io.BytesIO(content), now=world.now)
        assert DownloadPart.objects.count() == 3
        assert world.browser("alice").get(reverse("download_file", args=[download.pk])).getvalue() == content

    def test_a_worker_that_wakes_up_late_keeps_nothing(self, world: World) -> None:
        download = world.ask()
        late = downloads.take(download_id=download.pk, now=world.now)
        downloads.revive(now=world.now + downloads.LONGEST_SILENCE + dt.timedelta(seconds=1))
        assert not downloads.done(download=late, file=io.BytesIO(b"late"), now=world.now)
        assert not DownloadPart.objects.exists()
        tasks.make_download(str(download.pk))
        assert zipfile.is_zipfile(
            io.BytesIO(world.browser("alice").get(reverse("download_file", args=[download.pk])).getvalue())
        )

    def test_files_of_earlier_versions_are_deleted(self, world: World) -> None:
        folder = Path(settings.VAR_DIR) / "downloads"
        folder.mkdir()
        (folder / "old.zip").write_bytes(b"everything")
        downloads.clean(now=world.now)
        assert not folder.exists()

    def test_what_a_dead_worker_left_is_begun_again_and_ends(self, world: World) -> None:
        download = world.ask()
        for _try in range(downloads.MOST_TRIES):
            assert downloads.take(download_id=download.pk, now=world.now) is not None
            world.now += downloads.LONGEST_SILENCE + dt.timedelta(seconds=1)
            again = downloads.revive(now=world.now)
        assert again == []
        assert Download.objects.get().status == Download.Status.FAILED
        assert "It could not be made" in world.browser("alice").get(reverse("download")).content.decode()

    def test_a_failure_says_no_value_and_leaves_no_file(
        self, world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        download = world.ask()

        def fail(**_fields: Any) -> None:
            raise ValueError("Penicillin")

        monkeypatch.setattr(package.fhir, "patient_summary", fail)
        assert tasks.make_download(str(download.pk)) == {}
        assert "Penicillin" not in caplog.text
        assert not DownloadPart.objects.exists()
        assert list(Path(settings.VAR_DIR).iterdir()) == []
