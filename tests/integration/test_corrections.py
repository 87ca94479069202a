"""A patient says that an entry is wrong: who may, who hears of it, who answers, and what closes it."""

import csv
import datetime as dt
import io
import re
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django_q.models import OrmQ

from hospitals.models import Hospital
from openmrs_sync import tasks
from passport import erasure, merging
from passport.access import AccessRefused, hides, proxies
from passport.access.scope import scope_for
from passport.corrections import answering, asking, checking, writing
from passport.models import AuditEvent, CorrectionRequest, Link, Patient, Record, User
from passport.models.links import LinkState
from tests.integration import world as engine
from tests.integration.world import Site
from tests.post_office import PostOffice
from tests.records import Chart, make_account, make_hospital, make_patient, own_scope

pytestmark = pytest.mark.django_db
NUMBER, OTHER = "1199780012345678", "1199070098765432"
WORDS = "My weight was 61, not 16"
MINUTE = dt.timedelta(minutes=1)
State = CorrectionRequest.State


class World:
    """Alice has two entries at a hospital, a doctor there, and a carer."""

    def __init__(self) -> None:
        self.now = timezone.now()
        self.here = make_hospital(name="Ruhengeri", code="here", now=self.now)
        there = make_hospital(name="Butare", code="there", now=self.now)
        self.alice: Patient = make_patient(national_id=NUMBER, now=self.now, username="alice")
        chart = Chart(patient=self.alice, hospital=self.here, now=self.now)
        for name in ("Weight", "Height"):
            chart.add(concept=name, concept_uuid=name.ljust(36, "A"), value="16", at=chart.moment(3, "10:00:00"))
        chart.save()
        self.account: User = self.alice.user
        self.doctor = make_account(username="doctor", role="doctor", hospital=self.here)
        self.stranger = make_account(username="stranger", role="doctor", hospital=there)
        self.carer = make_account(username="carer", first_name="Ange")
        self.admin = make_account(username="admin", role="admin", is_superuser=True)
        proxies.make_proxy(
            patient=self.alice,
            carer=self.carer,
            kind="carer",
            reason="She asked for it",
            ends_at=self.now + dt.timedelta(days=30),
            actor=self.admin,
            now=self.now,
        )

    def key(self, concept: str = "Weight") -> str:
        return Record.objects.get(concept=concept, patient_id=self.alice.pk).key

    def browser(self, user: User) -> Client:
        client = Client()
        client.force_login(user)
        return client

    def ask(self, concept: str = "Weight", **fields: Any) -> CorrectionRequest:
        given = {"reason": "wrong", "words": WORDS, "actor": self.account, "now": self.now} | fields
        return asking.ask(scope=own_scope(self.alice), key=self.key(concept), **given)

    def read_again(self, **columns: Any) -> dt.datetime:
        """As after a refresh that found this in the row of the weight."""
        at = timezone.now() + MINUTE
        Record.objects.filter(key=self.key()).update(**columns, received_at=at)
        link = Link.objects.get(patient=self.alice)
        Link.objects.filter(pk=link.pk).update(
            refreshed_at=at, fresh_marks=link.marks, fresh_config_version=self.here.config_version
        )
        return at


@pytest.fixture
def world(settings: Any) -> World:
    cache.clear()
    Path(settings.STATIC_ROOT).mkdir(exist_ok=True)
    return World()


def state_of(request: CorrectionRequest) -> str:
    request.refresh_from_db()
    return str(request.state)


def actions() -> list[str]:
    return list(
        AuditEvent.objects.filter(action__startswith="correction").order_by("seq").values_list("action", flat=True)
    )


# --- asking -----------------------------------------------------------------------------------------------------------


def test_the_patient_asks_on_the_entrys_page_and_sees_what_becomes_of_it(world: World) -> None:
    alice = world.browser(world.account)
    page = reverse("own_record", args=[world.key()])
    form = reverse("own_correction", args=[world.key()])
    assert form in alice.get(page).content.decode()
    answer = alice.post(form, {"reason": "wrong", "words": WORDS}, follow=True)
    assert WORDS in answer.content.decode()
    assert answer.redirect_chain == [(reverse("own_corrections"), 302)]
    shown = alice.get(page).content.decode()
    assert "A correction was asked for" in shown
    assert form not in shown
    request = CorrectionRequest.objects.get()
    assert (request.source_id, request.table) == (Record.objects.get(key=world.key()).source_id, "obs")
    assert actions()[0] == "correction_asked"


def test_what_the_patient_writes_is_in_no_audit_row(world: World) -> None:
    world.ask()
    assert all(WORDS not in str(event.details) for event in AuditEvent.objects.all())
    details = AuditEvent.objects.get(action="correction_asked").details
    assert set(details) == {"correction"}


def test_who_stands_in_for_the_patient_asks_too(world: World) -> None:
    carer = world.browser(world.carer)
    form = reverse("patient_correction", args=[world.alice.pk, world.key()])
    assert form in carer.get(reverse("patient_record", args=[world.alice.pk, world.key()])).content.decode()
    carer.post(form, {"reason": "date", "words": ""})
    request = CorrectionRequest.objects.get()
    assert request.asked_by == world.carer
    assert AuditEvent.objects.get(action="correction_asked").basis == "carer"


def test_a_doctor_neither_asks_nor_reads_the_words_but_knows_that_it_was_asked(world: World) -> None:
    world.ask()
    doctor = world.browser(world.doctor)
    page = doctor.get(reverse("patient_record", args=[world.alice.pk, world.key()])).content.decode()
    assert "asked the hospital to correct this entry" in page
    assert WORDS not in page
    assert "Something is wrong here" not in page
    form = reverse("patient_correction", args=[world.alice.pk, world.key("Height")])
    assert doctor.post(form, {"reason": "wrong"}).status_code == 403
    assert doctor.get(reverse("patient_corrections", args=[world.alice.pk])).status_code == 403
    assert AuditEvent.objects.filter(action="corrections_read_refused", actor_id=world.doctor.pk).count() == 2
    scope = scope_for(patient=world.alice, basis="care")
    with pytest.raises(AccessRefused, match="Only the patient"):
        asking.ask(scope=scope, actor=world.doctor, key=world.key("Height"), reason="wrong", words="", now=world.now)


def test_a_doctor_hears_no_more_of_a_request_that_is_over(world: World) -> None:
    asking.withdraw(scope=own_scope(world.alice), actor=world.account, request_id=world.ask().pk, now=world.now)
    page = world.browser(world.doctor).get(reverse("patient_record", args=[world.alice.pk, world.key()]))
    assert "to correct this entry" not in page.content.decode()


def test_nobody_asks_about_an_entry_of_somebody_else(world: World) -> None:
    bob = make_patient(national_id=OTHER, username="bob", now=world.now)
    form = reverse("own_correction", args=[world.key()])
    assert world.browser(bob.user).post(form, {"reason": "wrong"}).status_code == 404
    with pytest.raises(AccessRefused, match="not in this record"):
        asking.ask(scope=own_scope(bob), actor=bob.user, key=world.key(), reason="wrong", words="", now=world.now)


def test_a_carer_neither_asks_nor_hears_about_what_the_patient_keeps_back(world: World) -> None:
    """T58: what is left out of a look is left out of its list of requests, too."""
    world.ask()
    hides.hide_record(scope=own_scope(world.alice), actor=world.account, key=world.key(), now=world.now)
    scope = scope_for(patient=world.alice, basis="carer")
    assert asking.asked_of(scope=scope, actor=world.carer) == []
    with pytest.raises(AccessRefused, match="not in this record"):
        asking.ask(scope=scope, actor=world.carer, key=world.key(), reason="wrong", words="", now=world.now)


def test_a_carer_sees_that_the_patient_asked_and_not_what_they_wrote(world: World) -> None:
    world.ask()
    page = world.browser(world.carer).get(reverse("patient_corrections", args=[world.alice.pk])).content.decode()
    assert "What it says is wrong" in page
    assert WORDS not in page
    request_id = CorrectionRequest.objects.get().pk
    world.browser(world.carer).post(reverse("patient_withdraw_correction", args=[world.alice.pk, request_id]))
    assert state_of(CorrectionRequest.objects.get()) == State.ASKED


@pytest.mark.parametrize(
    "given, sentence",
    [
        ({"reason": "nonsense"}, "Choose what is wrong"),
        ({"reason": "other", "words": " "}, "Say in a few words"),
        ({"reason": "wrong", "words": "x" * 501}, "500 characters"),
    ],
)
def test_nonsense_is_refused_with_a_sentence(given: dict[str, str], sentence: str, world: World) -> None:
    answer = world.browser(world.account).post(reverse("own_correction", args=[world.key()]), given)
    assert answer.status_code == 400
    assert sentence in answer.content.decode()
    assert not CorrectionRequest.objects.exists()


def test_one_entry_is_asked_about_once_at_a_time(world: World) -> None:
    request = world.ask()
    with pytest.raises(AccessRefused, match="asked already"):
        world.ask()
    asking.withdraw(scope=own_scope(world.alice), actor=world.account, request_id=request.pk, now=world.now)
    assert world.ask().pk != request.pk


def test_there_is_a_limit_to_what_waits(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "MOST_OPEN", 1)
    world.ask()
    with pytest.raises(AccessRefused, match="very many"):
        world.ask("Height")


def test_what_was_asked_is_taken_back_once(world: World) -> None:
    request = world.ask()
    alice = world.browser(world.account)
    address = reverse("own_withdraw_correction", args=[request.pk])
    alice.post(address)
    assert state_of(request) == State.WITHDRAWN
    assert "nothing to take back" in alice.post(address, follow=True).content.decode()
    assert actions().count("correction_withdrawn") == 1


def test_a_withdrawn_entry_is_not_asked_about(world: World) -> None:
    Record.objects.filter(key=world.key()).update(status="withdrawn", withdrawn_reason="voided")
    page = world.browser(world.account).get(reverse("own_correction", args=[world.key()])).content.decode()
    assert "nothing to correct" in page
    with pytest.raises(AccessRefused):
        world.ask()


def test_the_list_asks_the_same_however_long_it_is(world: World, django_assert_max_num_queries: Any) -> None:
    def n_queries() -> int:
        with django_assert_max_num_queries(40) as found:
            assert alice.get(reverse("own_corrections")).status_code == 200
        return len(found)

    alice = world.browser(world.account)
    world.ask()
    n_queries()
    before = n_queries()
    world.ask("Height")
    assert n_queries() == before


# --- the hospital -----------------------------------------------------------------------------------------------------


def admin_page(request: CorrectionRequest) -> str:
    return reverse("admin:passport_correctionrequest_change", args=[request.pk])


@pytest.mark.parametrize("outcome", ["answered", "declined"])
def test_the_officer_answers_and_the_patient_reads_it(outcome: str, world: World) -> None:
    request = world.ask()
    admin = world.browser(world.admin)
    assert WORDS in admin.get(admin_page(request)).content.decode()
    admin.post(admin_page(request), {"state": outcome, "answer": "The scale was broken."})
    assert state_of(request) == outcome
    page = world.browser(world.account).get(reverse("own_corrections")).content.decode()
    assert "The scale was broken." in page
    event = AuditEvent.objects.get(action=f"correction_{outcome}")
    assert (event.actor_id, event.patient_id) == (world.admin.pk, world.alice.pk)
    assert "scale" not in str(event.details)


@pytest.mark.parametrize(
    "given",
    [
        {"state": "", "answer": "Looked at."},
        {"state": "answered", "answer": " "},
        {"state": "changed", "answer": "Looked at."},
    ],
)
def test_the_officer_says_both_what_and_why(given: dict[str, str], world: World) -> None:
    request = world.ask()
    assert world.browser(world.admin).post(admin_page(request), given).status_code == 200
    assert state_of(request) == State.ASKED


def test_what_is_over_is_not_answered_again(world: World) -> None:
    request = world.ask()
    asking.withdraw(scope=own_scope(world.alice), actor=world.account, request_id=request.pk, now=world.now)
    with pytest.raises(AccessRefused, match="over"):
        answering.answer(request=request, actor=world.admin, outcome="answered", words="Looked at.", now=world.now)
    assert (
        world.browser(world.admin).post(admin_page(request), {"state": "answered", "answer": "Done."}).status_code
        == 403
    )


def test_the_sheet_names_the_row_and_nobody(world: World) -> None:
    """T65: what a patient types never runs in a spreadsheet."""
    request = world.ask(words='=HYPERLINK("http://evil.example")')
    answer = world.browser(world.admin).post(
        reverse("admin:passport_correctionrequest_changelist"),
        {"action": "export", "_selected_action": [str(request.pk)]},
    )
    text = answer.content.decode("utf-8-sig")
    (row,) = csv.DictReader(io.StringIO(text))
    record = Record.objects.get(key=world.key())
    assert (row["hospital"], row["table"], row["row_id"]) == ("here", "obs", str(record.source_id))
    assert row["row_uuid"] == record.source_uuid
    assert row["words"].startswith("'=")
    assert NUMBER not in text
    assert world.alice.family_name not in text
    assert state_of(request) == State.SENT
    event = AuditEvent.objects.get(action="corrections_exported")
    assert (event.hospital_id, event.details) == (world.here.pk, {"n_requests": 1})


def wants_mail(world: World) -> None:
    Hospital.objects.filter(pk=world.here.pk).update(corrections_email="records@ruhengeri.example")


def test_the_hospital_is_told_by_mail_how_many_wait_and_nothing_else(world: World, settings: Any) -> None:
    """T61: mail is read by others."""
    settings.PUBLIC_URL = "https://passport.example.org"
    wants_mail(world)
    request = world.ask()
    world.ask("Height")
    with PostOffice() as office:
        office.serves(settings)
        assert tasks.follow_corrections() == {"n_closed": 0, "n_mailed": 1}
        assert tasks.follow_corrections() == {"n_closed": 0, "n_mailed": 0}
    (letter,) = office.letters
    assert office.recipients == ["records@ruhengeri.example"]
    text = f"{letter}"
    assert "2 requests" in letter.get_content()
    address = f"https://passport.example.org{reverse('admin:passport_correctionrequest_changelist')}?state=open"
    assert address in letter.get_content().replace("=\n", "")
    for secret in (NUMBER, WORDS, "Weight", world.alice.family_name, world.alice.given_name):
        assert secret not in text
    assert state_of(request) == State.SENT
    assert world.browser(world.admin).get(address.removeprefix("https://passport.example.org")).status_code == 200


def test_a_second_letter_waits_half_a_day(world: World, settings: Any) -> None:
    wants_mail(world)
    world.ask()
    with PostOffice() as office:
        office.serves(settings)
        assert writing.write_all(now=world.now) == 1
        world.ask("Height")
        assert writing.write_all(now=world.now + 11 * 60 * MINUTE) == 0
        assert writing.write_all(now=world.now + 13 * 60 * MINUTE) == 1


@pytest.mark.parametrize("is_away", [True, False])
def test_a_mail_server_that_fails_loses_nothing(is_away: bool, world: World, settings: Any) -> None:
    wants_mail(world)
    request = world.ask()
    with PostOffice(refuses=451) as office:
        office.serves(settings)
        if not is_away:
            assert writing.write_all(now=world.now) == 0
    if is_away:
        assert writing.write_all(now=world.now) == 0
    assert state_of(request) == State.ASKED
    assert not writing.is_any_to_write(now=world.now + MINUTE)
    with PostOffice() as well:
        well.serves(settings)
        assert writing.write_all(now=world.now + 6 * MINUTE) == 1
    assert state_of(request) == State.SENT


def test_a_hospital_without_an_address_is_not_written_to(world: World, settings: Any) -> None:
    world.ask()
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    assert not writing.is_any_to_write(now=world.now)


# --- closing by itself ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "columns",
    [
        {"value": "61"},
        {"at_local": "2020-01-01 10:00:00"},
        {"status": "withdrawn", "withdrawn_reason": "voided"},
        {"details": {"comments": "corrected"}},
    ],
)
def test_a_change_of_the_source_closes_it(columns: dict[str, Any], world: World) -> None:
    request = world.ask()
    at = world.read_again(**columns)
    assert checking.is_anything_to_check(now=at)
    assert checking.close_changed(now=at) == 1
    assert state_of(request) == State.CHANGED
    assert not checking.is_anything_to_check(now=at)
    assert AuditEvent.objects.get(action="correction_closed").actor_role == "system"


def test_a_request_that_closed_leads_to_what_stands_there_now(world: World) -> None:
    world.ask()
    page = reverse("own_corrections")
    assert "What stands in your history" not in world.browser(world.alice.user).get(page).content.decode()
    checking.close_changed(now=world.read_again(status="withdrawn", withdrawn_reason="voided"))
    told = world.browser(world.alice.user).get(page).content.decode()
    [address] = re.findall(r'href="([^"]*)">What stands in your history of that day now', told)
    answer = world.browser(world.alice.user).get(unescape(address))
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "columns",
    [
        {},
        {"category": "other", "category_rule": "admin"},
        {"concept": "Poids"},
        {"status": "withdrawn", "withdrawn_reason": "hidden_by_admin"},
    ],
)
def test_what_we_ourselves_change_closes_nothing(columns: dict[str, Any], world: World) -> None:
    request = world.ask()
    at = world.read_again(**columns)
    assert checking.close_changed(now=at) == 0
    assert state_of(request) == State.ASKED
    assert not checking.is_anything_to_check(now=at)


def test_another_language_or_zone_of_ours_closes_nothing_and_a_later_change_does(world: World) -> None:
    request = world.ask()
    Hospital.objects.filter(pk=world.here.pk).update(config_version=7)
    world.here.refresh_from_db()
    assert checking.close_changed(now=world.read_again(details={"comments": "en français"})) == 0
    assert state_of(request) == State.ASKED
    assert checking.close_changed(now=world.read_again(value="61") + MINUTE) == 1


def test_a_number_that_leads_elsewhere_closes_it(world: World) -> None:
    request = world.ask(reason="not_mine")
    at = world.now + MINUTE
    Link.objects.filter(patient=world.alice).update(state=LinkState.ENDED, state_changed_at=at)
    assert checking.close_changed(now=at) == 1
    assert state_of(request) == State.CHANGED


@pytest.mark.parametrize("columns", [{"marks": 99}, {"state": LinkState.HELD}, {"epoch": 0}])
def test_what_was_not_read_again_stays_open(columns: dict[str, Any], world: World) -> None:
    request = world.ask()
    at = world.read_again()
    Record.objects.filter(key=world.key()).delete()
    Link.objects.filter(patient=world.alice).update(**columns)
    assert checking.close_changed(now=at) == 0
    assert state_of(request) == State.ASKED


def test_an_answered_one_still_says_when_the_entry_changed_and_a_declined_one_does_not(world: World) -> None:
    answered, declined = world.ask(), world.ask("Height")
    for request, outcome in ((answered, "answered"), (declined, "declined")):
        answering.answer(request=request, actor=None, outcome=outcome, words="Looked at.", now=world.now)
    Record.objects.filter(concept="Height").update(value="170")
    checking.close_changed(now=world.read_again(value="61"))
    assert (state_of(answered), state_of(declined)) == (State.CHANGED, State.DECLINED)
    assert answered.answer == "Looked at."


def test_the_tick_has_it_followed_only_when_there_is_something(world: World) -> None:
    world.ask()
    tasks.tick()
    assert "follow corrections" not in [task.name() for task in OrmQ.objects.all()]
    Link.objects.filter(patient=world.alice).update(
        refreshed_at=timezone.now(), fresh_marks=1, marks=1, fresh_config_version=1
    )
    tasks.tick()
    assert "follow corrections" in [task.name() for task in OrmQ.objects.all()]


@pytest.mark.integration
class TestWithTheHospital:
    """Against a real source: what its doctors do closes what patients asked."""

    def test_an_edit_at_the_source_closes_the_request_and_nothing_else_does(self, kigali: Site) -> None:
        person = kigali.add_holder(NUMBER)
        encounter = kigali.pretend.add_encounter(person)
        wrong, right, gone = (
            kigali.pretend.add_obs(person, "weight", value, encounter=encounter) for value in (16.0, 170.0, 36.0)
        )
        engine.synced(kigali.hospital)
        patient = Patient.objects.get(identifiers__number=NUMBER)
        asked = {obs: self._ask(patient, obs) for obs in (wrong, right, gone)}
        engine.synced(kigali.hospital, full=True)
        assert checking.close_changed(now=timezone.now()) == 0
        kigali.pretend.edit_obs(wrong, 61.0)
        kigali.pretend.purge_obs(gone)
        engine.synced(kigali.hospital, full=True)
        assert checking.close_changed(now=timezone.now()) == 2
        assert {obs: state_of(request) for obs, request in asked.items()} == {
            wrong: State.CHANGED,
            right: State.ASKED,
            gone: State.CHANGED,
        }

    @staticmethod
    def _ask(patient: Patient, obs: int) -> CorrectionRequest:
        key = Record.objects.get(patient_id=patient.pk, table="obs", source_id=obs).key
        return asking.ask(scope=own_scope(patient), actor=None, key=key, reason="wrong", words="", now=timezone.now())


# --- what becomes of the passport -------------------------------------------------------------------------------------


def test_with_the_passport_its_requests_go(world: World) -> None:
    world.ask()
    erasure.erase(patient=world.alice, confirmation=str(world.alice.pk), actor=world.admin, now=world.now)
    assert not CorrectionRequest.objects.exists()


def test_a_merge_takes_the_requests_over_and_gives_them_back(world: World) -> None:
    bob = make_patient(national_id=OTHER, username="bob", now=world.now)
    request = world.ask()
    made = merging.merge(kept=bob, merged=world.alice, actor=world.admin, now=world.now)
    request.refresh_from_db()
    assert request.patient == bob
    assert checking.close_changed(now=world.now + MINUTE) == 0
    merging.undo(merge=made, actor=world.admin, now=world.now)
    request.refresh_from_db()
    assert request.patient == world.alice
