"""Concepts without a category: counted, suggested with a reason, previewed, decided, undone, sent out and back."""

import csv
import io
import re
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone

from hospitals.models import Hospital
from openmrs_sync import concept_sheets, tasks, workbench
from openmrs_sync.models import ConceptRule, Inspection, SyncRun
from passport.models import AuditEvent, Record, User
from tests.integration import world
from tests.integration.world import Site

pytestmark = [pytest.mark.django_db, pytest.mark.integration]
BENCH = "/admin/openmrs_sync/conceptrule/workbench/"


@pytest.fixture
def alice() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("alice", "", "long enough"))
    return client


def page(alice: Client, address: str = BENCH, **given: str) -> str:
    return " ".join(alice.get(address, given).content.decode().split())


def actor() -> User:
    return User.objects.get(username="alice")


def furnish(*sites: Site) -> None:
    """Two smokers at each hospital, one of them asked twice."""
    for n, site in enumerate(sites):
        for m in range(2):
            person = site.add_holder(f"11990800123456{n}{m}")
            for _ in range(m + 1):
                site.pretend.add_obs(person, "smoker", True)
            site.pretend.add_obs(person, "weight", 60.0)
        site.sync()


def count(alice: Client) -> None:
    alice.post(f"{BENCH}count/")
    for asked in Inspection.objects.filter(kind="concepts", status="queued"):
        tasks.inspect_one(str(asked.pk))
    assert not Inspection.objects.filter(kind="concepts").exclude(status="done").exists()


def smoker() -> str:
    """The uuid of the concept that has no category."""
    return str(Record.objects.filter(category="other", table="obs").values_list("concept_uuid", flat=True)[0])


def work_off() -> None:
    """What the worker does with the runs that were queued."""
    for run in SyncRun.objects.filter(status="queued"):
        tasks.sync_one(str(run.hospital_id), str(run.pk))


def categories() -> set[tuple[str, str]]:
    mine = Record.objects.filter(concept_uuid=world_concept(), status="current")
    return set(mine.values_list("category", "category_rule"))


def world_concept() -> str:
    return str(Inspection.objects.filter(kind="concepts").first().result["concepts"][0]["uuid"])  # type: ignore[union-attr]


# --- counting ---------------------------------------------------------------------------------------------------------


def test_a_concept_without_a_category_is_counted_by_records_and_persons(alice: Client, kigali: Site) -> None:
    furnish(kigali)
    count(alice)
    (concept,) = workbench.read_bench().concepts
    assert (concept.uuid, concept.n_records, concept.n_persons) == (smoker(), 3, 2)
    result = Inspection.objects.get(kind="concepts").result
    assert result["is_asked"] is True
    assert result["concepts"][0]["datatype"]


def test_counting_changes_no_record_and_leaves_a_row_in_the_audit(alice: Client, kigali: Site) -> None:
    furnish(kigali)
    before = list(Record.objects.order_by("key").values())
    count(alice)
    assert list(Record.objects.order_by("key").values()) == before
    assert AuditEvent.objects.get(action="concepts_requested").hospital_id == kigali.hospital.pk


def test_a_hospital_that_does_not_answer_is_counted_all_the_same(alice: Client, kigali: Site) -> None:
    furnish(kigali)
    Hospital.objects.filter(pk=kigali.hospital.pk).update(port=1)
    count(alice)
    assert workbench.read_bench().concepts[0].n_records == 3
    assert "Without class and mapping" in page(alice)


def test_records_that_are_shown_to_nobody_do_not_count(alice: Client, kigali: Site) -> None:
    furnish(kigali)
    kigali.hospital.links.update(state="unlinked")
    count(alice)
    assert workbench.read_bench().concepts == []
    assert "has a category" in page(alice)


def test_nothing_counted_yet_is_said(alice: Client) -> None:
    assert "Not counted yet" in page(alice)


# --- suggestions ------------------------------------------------------------------------------------------------------


def entry(**fields: Any) -> dict[str, Any]:
    return {"name": "Something", "class": "Misc", "datatype": "N/A", "unit": "", "mappings": [], **fields}


@pytest.mark.parametrize(
    "fields,category,reason",
    [
        ({"mappings": [["CIEL", "5089"]], "class": "Finding"}, "vital", "CIEL 5089"),
        ({"class": "Symptom/Finding", "name": "Serum"}, "condition", "class is Symptom/Finding"),
        ({"class": "Finding", "unit": "cm"}, "test", "numbers in cm"),
        ({"unit": "g/dL", "name": "Pain score"}, "test", "numbers in g/dL"),
        ({"name": "Known ALLERGY to penicillin"}, "allergy", "“allergy” in its name"),
        ({"name": "Serum potassium"}, "test", "“serum” in its name"),
    ],
)
def test_a_suggestion_says_its_reason(fields: dict[str, Any], category: str, reason: str) -> None:
    found = workbench.suggest(entry(**fields))
    assert found is not None
    assert found.category == category
    assert reason in found.reason


@pytest.mark.parametrize("name", ["Smoker", "Testament", "Counted", "Diagnosis certainty"])
def test_where_nothing_tells_nothing_is_suggested(name: str) -> None:
    """A word counts as a whole: a testament is no test."""
    assert workbench.suggest(entry(name=name)) is None


# --- deciding ---------------------------------------------------------------------------------------------------------


def test_a_preview_says_what_would_move_and_changes_nothing(alice: Client, kigali: Site, huye: Site) -> None:
    furnish(kigali, huye)
    count(alice)
    found = workbench.read_bench().concepts
    n_records, n_hospitals = found[0].n_records, len(found[0].at)
    shown = page(alice, f"{BENCH}decide/", concept=found[0].uuid, category="test")
    hospitals = "1 hospital" if n_hospitals == 1 else f"{n_hospitals} hospitals"
    assert f"This would move {n_records} records at {hospitals} from other to test." in shown
    assert not ConceptRule.objects.exists()


def test_a_decision_moves_exactly_what_the_preview_said_and_undo_moves_it_back(alice: Client, kigali: Site) -> None:
    furnish(kigali)
    count(alice)
    uuid = smoker()
    n_would_move = workbench.read_bench().concepts[0].n_records
    alice.post(f"{BENCH}decide/", {"concept": uuid, "category": "test"})
    assert "Being read again under the new rules" in page(alice)
    work_off()
    moved = Record.objects.filter(concept_uuid=uuid, category="test", category_rule="admin", status="current")
    assert moved.count() == n_would_move == 3
    assert world.verified(kigali.hospital).is_well
    shown = page(alice)
    assert "Being read again under the new rules" not in shown
    assert "0 without a category" in shown
    alice.post(f"{BENCH}undo/", {"rule": ConceptRule.objects.get().pk})
    work_off()
    assert categories() == {("other", "default")}
    assert world.verified(kigali.hospital).is_well
    assert AuditEvent.objects.filter(action="concept_rule_changed", actor_id=actor().pk).count() == 2


def test_a_decision_for_one_hospital_leaves_the_others(alice: Client, kigali: Site, huye: Site) -> None:
    furnish(kigali, huye)
    count(alice)
    for inspection in Inspection.objects.filter(kind="concepts"):  # one concept at both, as in a shared dictionary
        inspection.result["concepts"][0]["uuid"] = "shared"
        inspection.save(update_fields=["result"])
    huye.hospital.refresh_from_db()
    before = huye.hospital.config_version
    alice.post(f"{BENCH}decide/", {"concept": "shared", "category": "test", "hospital": kigali.hospital.code})
    huye.hospital.refresh_from_db()
    assert huye.hospital.config_version == before
    (left,) = [one for one in workbench.read_bench().concepts if one.uuid == "shared"]
    assert set(left.at) == {huye.hospital.pk}


@pytest.mark.parametrize("given", [{}, {"category": "made-up"}, {"concept": "x"}, {"hospital": "nowhere"}])
def test_what_cannot_be_decided_is_refused_with_a_sentence(alice: Client, kigali: Site, given: dict[str, str]) -> None:
    furnish(kigali)
    count(alice)
    wanted = {"concept": smoker(), "category": "test"} | given if given else {}
    shown = alice.post(f"{BENCH}decide/", wanted, follow=True).content.decode()
    assert "Choose a concept of the list" in shown
    assert not ConceptRule.objects.exists()


def test_only_who_may_change_rules_gets_there(client: Client) -> None:
    client.force_login(User.objects.create_user("bob", password="long enough", is_staff=True))
    for what in ("", "decide/", "rules.csv", "import/"):
        assert client.get(f"{BENCH}{what}").status_code == 302
    for what in ("count/", "undo/"):
        assert client.post(f"{BENCH}{what}").status_code == 302


# --- as a sheet -------------------------------------------------------------------------------------------------------


def send(alice: Client, text: str) -> str:
    upload = SimpleUploadedFile("rules.csv", text.encode())
    return " ".join(alice.post(f"{BENCH}import/", {"sheet": upload}, follow=True).content.decode().split())


def test_a_sheet_sent_back_as_it_was_changes_nothing(alice: Client, kigali: Site) -> None:
    furnish(kigali)
    count(alice)
    now = timezone.now()
    for n, note in enumerate(("=1+1", "-", "with, comma", "")):
        workbench.decide(
            concept_uuid=f"u{n}",
            hospital=kigali.hospital if n else None,
            category="test",
            note=note,
            actor=actor(),
            now=now,
        )
    rules = list(ConceptRule.objects.order_by("pk").values())
    kigali.hospital.refresh_from_db()
    version = kigali.hospital.config_version
    shown = send(alice, alice.get(f"{BENCH}rules.csv").content.decode())
    assert "0 changed, 5 as they were" in shown
    assert list(ConceptRule.objects.order_by("pk").values()) == rules
    kigali.hospital.refresh_from_db()
    assert kigali.hospital.config_version == version
    assert AuditEvent.objects.filter(action="concept_rules_exported").count() == 1


def test_a_category_written_into_the_sheet_becomes_a_rule(alice: Client, kigali: Site) -> None:
    furnish(kigali)
    count(alice)
    lines = list(csv.DictReader(io.StringIO(alice.get(f"{BENCH}rules.csv").content.decode("utf-8-sig"))))
    assert lines[0]["persons"] == "2"
    lines[0]["category"] = "condition"
    out = io.StringIO()
    writer = csv.DictWriter(out, concept_sheets.COLUMNS)
    writer.writeheader()
    writer.writerows(lines)
    assert "1 changed, 0 as they were" in send(alice, out.getvalue())
    work_off()
    assert categories() == {("condition", "admin")}


@pytest.mark.parametrize(
    "line,says",
    [
        (",,test,no,", "The concept is a uuid"),
        ("u,nowhere,test,no,", "no hospital with this code"),
        ("u,,made-up,no,", "The category must be empty or one of"),
        ("u,,test,maybe,", "takes yes or no"),
        ("u,,test", "more or fewer cells"),
        ('u,,test,no,"open', "cannot be read as CSV"),
    ],
)
def test_a_line_that_cannot_be_is_left_out_and_named_by_its_number(alice: Client, line: str, says: str) -> None:
    shown = send(alice, f"concept,hospital,category,hidden,note\r\n{line}")
    assert says in shown
    assert re.search(r"<li>Line \d+: ", shown)
    assert not ConceptRule.objects.exists()
