"""A word by mail or SMS that there is something new: to whom, when, how often, with what in it, and how it ends."""

import datetime as dt
import re
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache
from django.core.checks import run_checks
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django_q.models import OrmQ

from hospitals.models import Hospital
from openmrs_sync import tasks
from passport import merging, sms
from passport.audit import record_event
from passport.corrections import answering, asking
from passport.models import AuditEvent, Link, NewsNotice, Patient, Record, SensitiveConcept, User
from passport.models.links import LinkState
from passport.notices import choosing, telling
from tests.post_office import Gateway, PostOffice
from tests.records import Chart, make_account, make_hospital, make_patient, own_scope

pytestmark = pytest.mark.django_db
NUMBER, OTHER = "1199780012345678", "1199070098765432"
HOUR = dt.timedelta(hours=1)
SITE = "https://passport.example.org"
VIRAL_LOAD = "856".ljust(36, "A")
SAID = "There is something new in your Patient Passport."


class World:
    """Alice holds a passport and has an entry at one hospital; her account has an address and a number."""

    def __init__(self) -> None:
        self.now = timezone.now()
        self.here = make_hospital(name="Ruhengeri", code="here", now=self.now)
        self.alice: Patient = make_patient(national_id=NUMBER, now=self.now, username="alice")
        self.chart = Chart(patient=self.alice, hospital=self.here, now=self.now)
        self.chart.add(concept="Weight", value="61", at=self.chart.moment(3, "10:00:00"))
        self.chart.save()
        self.account: User = self.alice.user
        User.objects.filter(pk=self.account.pk).update(email="alice@example.org", phone="+250788000111")
        self.account.refresh_from_db()

    def browser(self) -> Client:
        client = Client()
        client.force_login(self.account)
        return client

    def choose(self, by: str = "mail") -> NewsNotice:
        choosing.choose(user=self.account, by=by, language="en", now=self.now)
        return NewsNotice.objects.get(patient=self.alice)

    def arrives(self, *, after: dt.timedelta, hospital: Hospital | None = None, **fields: Any) -> dt.datetime:
        """As after a refresh that brought this; the moment after it."""
        at = self.now + after
        chart = self.chart if hospital is None else Chart(patient=self.alice, hospital=hospital, now=self.now)
        given = {"concept": "Height", "value": "tall for her age", "at": chart.moment(1, "10:00:00")} | fields
        record = chart.add(**given)
        Record.objects.bulk_create([record]) if hospital is None else chart.save()
        Record.objects.filter(key=record.key).update(received_at=at)
        Link.objects.filter(pk=chart.link.pk).update(refreshed_at=at)
        return at + dt.timedelta(seconds=1)


@pytest.fixture
def world(settings: Any) -> World:
    cache.clear()
    Path(settings.STATIC_ROOT).mkdir(exist_ok=True)
    settings.PUBLIC_URL = SITE
    return World()


@pytest.fixture
def office(settings: Any) -> Any:
    with PostOffice() as office:
        office.serves(settings)
        yield office


@pytest.fixture
def gateway(settings: Any) -> Any:
    with Gateway() as gateway:
        settings.SMS_BACKEND = "passport.sms.WebhookBackend"
        settings.SMS_WEBHOOK_URL = f"{gateway.address}/messages"
        settings.SMS_WEBHOOK_TOKEN = "gateway-secret"
        yield gateway


def text_of(letter: Any) -> str:
    return str(letter.get_content())


# --- what is said -----------------------------------------------------------------------------------------------------


def test_the_letter_says_that_there_is_something_new_and_nothing_else(world: World, office: PostOffice) -> None:
    """T61: mail is read by others."""
    world.choose()
    now = world.arrives(after=HOUR)
    assert telling.is_anyone_to_tell(now=now)
    assert telling.tell_all(now=now) == 1
    (letter,) = office.letters
    assert office.recipients == ["alice@example.org"]
    assert letter["Subject"] == SAID
    assert f"{SITE}/" in text_of(letter)
    for secret in (NUMBER, "Height", "tall", "Ruhengeri", world.alice.given_name, world.alice.family_name, "alice "):
        assert secret not in f"{letter}"
    event = AuditEvent.objects.get(action="notice_sent")
    assert (event.patient_id, event.basis, event.details) == (world.alice.pk, "mail", {})


def test_the_sms_goes_to_the_gateway(world: World, gateway: Gateway) -> None:
    world.choose("sms")
    assert telling.tell_all(now=world.arrives(after=HOUR)) == 1
    ((path, headers, body),) = gateway.posts
    assert (path, headers["Authorization"]) == ("/messages", "Bearer gateway-secret")
    assert body["to"] == "+250788000111"
    assert body["text"].startswith(f"{SAID} {SITE}/ ")
    assert len(body["text"]) <= 160
    assert AuditEvent.objects.get(action="notice_sent").basis == "sms"


def test_it_speaks_the_language_of_the_account(world: World, office: PostOffice, monkeypatch: Any) -> None:
    """By what gettext is asked for: the catalogues are written elsewhere."""
    asked: list[str | None] = []
    real = telling.gettext
    monkeypatch.setattr(telling, "gettext", lambda text: asked.append(telling_language()) or real(text))
    User.objects.filter(pk=world.account.pk).update(language="fr")
    world.choose()
    telling.tell_all(now=world.arrives(after=HOUR))
    assert set(asked) == {"fr"}


def telling_language() -> str | None:
    from django.utils.translation import get_language

    return get_language()


def test_the_console_backend_writes_to_standard_error(world: World, settings: Any, capsys: Any) -> None:
    settings.SMS_BACKEND = "passport.sms.ConsoleBackend"
    world.choose("sms")
    assert telling.tell_all(now=world.arrives(after=HOUR)) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert SAID in said.err


# --- to whom, and when ------------------------------------------------------------------------------------------------


def test_nobody_is_told_who_did_not_ask(world: World, office: PostOffice) -> None:
    now = world.arrives(after=HOUR)
    assert not telling.is_anyone_to_tell(now=now)
    assert telling.tell_all(now=now) == 0
    assert office.letters == []


def test_at_most_once_a_day_and_what_came_meanwhile_is_told_the_next(world: World, office: PostOffice) -> None:
    world.choose()
    assert telling.tell_all(now=world.arrives(after=HOUR)) == 1
    assert telling.tell_all(now=world.arrives(after=2 * HOUR)) == 0
    assert telling.tell_all(now=world.now + 26 * HOUR) == 1
    assert telling.tell_all(now=world.now + 60 * HOUR) == 0
    assert len(office.letters) == 2


def test_a_reading_that_brings_nothing_tells_nothing(world: World, office: PostOffice) -> None:
    world.choose()
    Link.objects.update(refreshed_at=world.now + HOUR)
    now = world.now + 2 * HOUR
    assert telling.is_anyone_to_tell(now=now)
    assert telling.tell_all(now=now) == 0
    assert not telling.is_anyone_to_tell(now=now)


def test_a_hospitals_first_reading_is_no_news_and_what_it_brings_later_is(world: World, office: PostOffice) -> None:
    world.choose()
    there = make_hospital(name="Butare", code="there", now=world.now)
    assert telling.tell_all(now=world.arrives(after=HOUR, hospital=there)) == 0
    link = Link.objects.get(hospital=there)
    record = Record.objects.get(link_id=link.pk)
    at = world.now + 2 * HOUR
    Record.objects.filter(pk=record.pk).update(received_at=at)
    Link.objects.filter(pk=link.pk).update(refreshed_at=at)
    assert telling.tell_all(now=at + dt.timedelta(seconds=1)) == 1


def test_what_is_read_again_because_we_changed_a_setting_is_no_news(world: World, office: PostOffice) -> None:
    world.choose()
    now = world.arrives(after=HOUR)
    Link.objects.update(fresh_config_version=7)
    assert telling.tell_all(now=now) == 0


@pytest.mark.parametrize("n_others, n_told", [(0, 0), (1, 1)])
def test_sensitive_entries_alone_send_nothing(n_others: int, n_told: int, world: World, office: PostOffice) -> None:
    """Else the hour of a notice would say where somebody has been."""
    SensitiveConcept.objects.get_or_create(sensitive_set="hiv", concept_uuid=VIRAL_LOAD)
    world.choose()
    now = world.arrives(after=HOUR, concept="Viral load", concept_uuid=VIRAL_LOAD)
    for _ in range(n_others):
        now = world.arrives(after=HOUR)
    assert telling.tell_all(now=now) == n_told


@pytest.mark.parametrize("fields", [{"category": "visit"}, {"status": "withdrawn"}])
def test_the_frame_of_a_visit_and_what_was_withdrawn_are_no_news(
    fields: dict[str, str], world: World, office: PostOffice
) -> None:
    world.choose()
    assert telling.tell_all(now=world.arrives(after=HOUR, **fields)) == 0


def test_what_the_patient_has_looked_at_is_no_news(world: World, office: PostOffice) -> None:
    world.choose()
    now = world.arrives(after=HOUR)
    record_event(action="overview_read", actor=world.account, now=now, patient_id=world.alice.pk, basis="oneself")
    assert telling.tell_all(now=now + HOUR) == 0


def test_a_doctors_look_is_not_the_patients(world: World, office: PostOffice) -> None:
    world.choose()
    now = world.arrives(after=HOUR)
    doctor = make_account(username="doctor", role="doctor", hospital=world.here)
    record_event(action="overview_read", actor=doctor, now=now, patient_id=world.alice.pk, basis="care")
    assert telling.tell_all(now=now + HOUR) == 1


def close_account(world: World) -> None:
    User.objects.filter(pk=world.account.pk).update(is_active=False)


def die(world: World) -> None:
    Patient.objects.filter(pk=world.alice.pk).update(died_on=world.now.date())


def lose_login(world: World) -> None:
    Patient.objects.filter(pk=world.alice.pk).update(user=None)


def lose_address(world: World) -> None:
    User.objects.filter(pk=world.account.pk).update(email="")


def hold(world: World) -> None:
    Link.objects.update(state=LinkState.HELD)


def merge(world: World) -> None:
    kept = make_patient(national_id=OTHER, username="other", now=world.now)
    boss = make_account(username="boss", role="admin")
    choosing.choose(user=kept.user, by="", language="", now=world.now)
    merging.merge(kept=kept, merged=world.alice, actor=boss, now=world.now)


@pytest.mark.parametrize("change", [close_account, die, lose_login, lose_address, hold, merge])
def test_nobody_is_told_who_is_not_there_to_be_told(change: Any, world: World, office: PostOffice) -> None:
    world.choose()
    now = world.arrives(after=HOUR)
    assert telling.is_anyone_to_tell(now=now)
    change(world)
    assert telling.tell_all(now=now) == 0
    assert office.letters == []


def test_a_hospitals_answer_to_a_request_is_news(world: World, office: PostOffice) -> None:
    world.choose()
    asked = asking.ask(
        scope=own_scope(world.alice),
        actor=world.account,
        key=Record.objects.get(concept="Weight").key,
        reason="wrong",
        words="",
        now=world.now,
    )
    assert not telling.is_anyone_to_tell(now=world.now + HOUR)
    answering.answer(request=asked, actor=None, outcome="answered", words="Put right.", now=world.now + HOUR)
    assert telling.tell_all(now=world.now + 2 * HOUR) == 1
    assert "Put right" not in f"{office.letters[0]}"


def test_the_tick_queues_it_only_when_there_is_somebody(world: World, office: PostOffice) -> None:
    world.choose()
    tasks.tick()
    assert "tell news" not in [task.name() for task in OrmQ.objects.all()]
    world.arrives(after=-dt.timedelta(seconds=1))
    NewsNotice.objects.update(looked_at=world.now - HOUR, told_until=world.now - HOUR, links=_earlier(world))
    tasks.tick()
    assert "tell news" in [task.name() for task in OrmQ.objects.all()]
    assert tasks.tell_news() == {"n_told": 1}
    assert tasks.tell_news() == {"n_told": 0}


def _earlier(world: World) -> dict[str, list[Any]]:
    return {link_id: [(world.now - HOUR).isoformat(), version] for link_id, (_at, version) in _links().items()}


def _links() -> dict[str, list[Any]]:
    return dict(NewsNotice.objects.get().links)


# --- when it is not taken ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["mail", "sms"])
@pytest.mark.parametrize("is_away", [True, False])
def test_what_is_not_taken_is_tried_again_and_not_lost(by: str, is_away: bool, world: World, settings: Any) -> None:
    settings.SMS_BACKEND = "passport.sms.WebhookBackend"
    with PostOffice(refuses=451) as office, Gateway(answers=302) as gateway:
        office.serves(settings)
        settings.SMS_WEBHOOK_URL = f"{gateway.address}/messages"
        notice = world.choose(by)
        now = world.arrives(after=HOUR)
        if not is_away:
            assert telling.tell_all(now=now) == 0
    if is_away:
        assert telling.tell_all(now=now) == 0
    notice.refresh_from_db()
    assert (notice.sent_at, notice.n_failures) == (None, 1)
    assert not telling.is_anyone_to_tell(now=now + dt.timedelta(minutes=4))
    with PostOffice() as office, Gateway() as gateway:
        office.serves(settings)
        settings.SMS_WEBHOOK_URL = f"{gateway.address}/messages"
        assert telling.tell_all(now=now + dt.timedelta(minutes=6)) == 1
        assert len(office.letters) + len(gateway.posts) == 1
    notice.refresh_from_db()
    assert (notice.n_failures, notice.next_try_at) == (0, None)


def test_the_tries_become_fewer_and_fewer(world: World, settings: Any) -> None:
    with PostOffice(refuses=550) as office:
        office.serves(settings)
        world.choose()
        now, waits = world.arrives(after=HOUR), []
        for _ in range(11):
            assert telling.tell_all(now=now) == 0
            next_try_at = NewsNotice.objects.get().next_try_at
            assert next_try_at is not None
            waits.append((next_try_at - now).total_seconds() / 60)
            now = next_try_at
    assert waits == [5, 10, 20, 40, 80, 160, 320, 640, 1280, 1440, 1440]


def test_one_address_that_is_refused_stops_nobody_else(world: World, office: PostOffice, settings: Any) -> None:
    settings.SMS_BACKEND = "passport.sms.WebhookBackend"
    settings.SMS_WEBHOOK_URL = "http://127.0.0.1:9/nobody"
    world.choose("sms")
    bob = make_patient(national_id=OTHER, username="bob", now=world.now)
    User.objects.filter(pk=bob.user.pk).update(email="bob@example.org")
    bob.user.refresh_from_db()
    chart = Chart(patient=bob, hospital=world.here, now=world.now)
    chart.save()
    choosing.choose(user=bob.user, by="mail", language="en", now=world.now)
    now = world.arrives(after=HOUR)
    record = chart.add(concept="Height", value="1", at=chart.moment(1, "10:00:00"))
    Record.objects.bulk_create([record])
    Record.objects.filter(pk=record.pk).update(received_at=now)
    Link.objects.filter(patient=bob).update(refreshed_at=now)
    assert telling.tell_all(now=now + HOUR) == 1
    assert office.recipients == ["bob@example.org"]


def test_no_log_and_no_error_holds_an_address(world: World, settings: Any, caplog: Any) -> None:
    settings.SMS_BACKEND = "passport.sms.WebhookBackend"
    settings.SMS_WEBHOOK_URL = "http://127.0.0.1:9/nobody"
    world.choose("sms")
    telling.tell_all(now=world.arrives(after=HOUR))
    assert "notice not sent" in caplog.text
    assert "250788000111" not in caplog.text
    with pytest.raises(sms.SmsNotSent, match="does not answer") as refused:
        sms.send(to="+250788000111", text=SAID)
    assert "250788000111" not in str(refused.value)


# --- choosing and ending ----------------------------------------------------------------------------------------------


def test_the_choice_stands_on_the_page_of_contacts(world: World, office: PostOffice, gateway: Gateway) -> None:
    alice = world.browser()
    page = alice.get(reverse("account_contact")).content.decode()
    assert "By e-mail to alice@example.org" in page
    assert "By SMS to +250788000111" in page
    answer = alice.post(reverse("account_notices"), {"by": "sms"}, follow=True).content.decode()
    assert "You are told when there is something new." in answer
    assert re.search(r'value="sms"[^>]* checked', answer)
    alice.post(reverse("account_notices"), {"by": ""})
    assert not NewsNotice.objects.exists()
    written = AuditEvent.objects.filter(action__startswith="notices").order_by("seq").values_list("action", "basis")
    assert list(written) == [("notices_chosen", "sms"), ("notices_ended", "oneself")]


def test_what_cannot_be_sent_is_not_offered(world: World, settings: Any) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
    assert "Notices of what is new" not in world.browser().get(reverse("account_contact")).content.decode()
    answer = world.browser().post(reverse("account_notices"), {"by": "mail"}, follow=True)
    assert "cannot be sent that way" in answer.content.decode()
    assert not NewsNotice.objects.exists()


def test_without_the_address_of_our_pages_none_is_offered(world: World, office: PostOffice, settings: Any) -> None:
    """A notice must say how to end it."""
    settings.PUBLIC_URL = ""
    assert choosing.ways() == []


def test_without_an_address_of_ones_own_a_sentence_asks_for_what_is_needed(
    world: World, office: PostOffice, settings: Any
) -> None:
    """A number alone helps nobody where no SMS are sent."""
    lose_address(world)
    User.objects.update(phone="+250 788 000 111")
    assert "They go by e-mail" in world.browser().get(reverse("account_contact")).content.decode()
    User.objects.update(phone="")
    settings.SMS_BACKEND = "passport.sms.ConsoleBackend"
    assert "a number or an address" in world.browser().get(reverse("account_contact")).content.decode()


def test_a_login_without_a_passport_is_offered_none(world: World, office: PostOffice) -> None:
    client = Client()
    client.force_login(make_account(username="doctor", role="doctor", hospital=world.here, email="d@example.org"))
    assert "Notices of what is new" not in client.get(reverse("account_contact")).content.decode()
    client.post(reverse("account_notices"), {"by": "mail"})
    assert not NewsNotice.objects.exists()


def test_another_way_on_the_same_day_is_no_second_notice(world: World, office: PostOffice, gateway: Gateway) -> None:
    world.choose()
    now = world.arrives(after=HOUR)
    telling.tell_all(now=now)
    choosing.choose(user=world.account, by="sms", language="en", now=now)
    assert telling.tell_all(now=world.arrives(after=3 * HOUR)) == 0
    assert telling.tell_all(now=world.now + 27 * HOUR) == 1
    assert len(gateway.posts) == 1


def test_the_mail_programs_own_button_ends_it_without_a_login(world: World, office: PostOffice) -> None:
    """RFC 8058: one POST with `List-Unsubscribe=One-Click`, no cookie, no form of ours."""
    world.choose()
    telling.tell_all(now=world.arrives(after=HOUR))
    letter = office.letters[0]
    assert letter["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    address = letter["List-Unsubscribe"].strip(" <>").removeprefix(SITE)
    assert f"{SITE}{address}" in text_of(letter)
    stranger = Client(enforce_csrf_checks=True)
    assert stranger.get(address).status_code == 200
    assert NewsNotice.objects.exists()
    answer = stranger.post(address, {"List-Unsubscribe": "One-Click"})
    assert "no more of them" in answer.content.decode()
    assert not NewsNotice.objects.exists()
    event = AuditEvent.objects.get(action="notices_ended")
    assert (event.basis, event.patient_id, event.actor_id) == ("link", world.alice.pk, None)


def test_a_link_that_is_not_ours_ends_nothing_and_looks_the_same(world: World, office: PostOffice) -> None:
    notice = world.choose()
    token = choosing.token_of(notice)
    assert re.fullmatch(r"[A-Za-z0-9_-]{38}", token)
    forged = token[:-4] + ("AAAA" if token[-4:] != "AAAA" else "BBBB")
    answer = Client().post(reverse("stop_notices", args=[forged]))
    assert answer.status_code == 200
    assert "no more of them" in answer.content.decode()
    assert NewsNotice.objects.exists()


def test_the_link_of_an_ended_choice_does_not_end_the_next(world: World, office: PostOffice) -> None:
    old = choosing.token_of(world.choose())
    choosing.choose(user=world.account, by="", language="", now=world.now)
    world.choose()
    choosing.end_by_token(token=old, now=world.now)
    assert NewsNotice.objects.exists()


@pytest.mark.parametrize(
    "backend, url, is_wrong",
    [
        ("", "", False),
        ("passport.sms.ConsoleBackend", "", False),
        ("passport.sms.WebhookBackend", "", True),
        ("passport.sms.WebhookBackend", "https://gateway.example.org", False),
        ("passport.sms.NoSuchBackend", "", True),
    ],
)
def test_a_backend_that_cannot_work_is_an_error_at_the_start(
    backend: str, url: str, is_wrong: bool, settings: Any
) -> None:
    settings.SMS_BACKEND, settings.SMS_WEBHOOK_URL = backend, url
    assert ("passport.E006" in [found.id for found in run_checks()]) is is_wrong
