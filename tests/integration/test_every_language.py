"""Every page in French and Kinyarwanda, with nothing of ours left in English."""

import html
import re
from functools import cache
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings as site
from django.core import mail
from django.test import Client
from django.urls import reverse
from django.utils import translation

from passport import page_urls
from passport.access import emergencies
from tests.catalogues import LANGUAGES, PLACEHOLDER, messages
from tests.integration import test_pages
from tests.integration.test_pages import NUMBER, PASSWORD, World, address_of, logged_in

pytestmark = pytest.mark.django_db
_ground, world = test_pages._ground, test_pages.world  # fixtures

#: Shorter ones may stand in a hospital's own words ("Malaria", "Weight"), in names and in codes.
SHORTEST = 16


@cache
def english_pieces(language: str) -> tuple[str, ...]:
    """What must not stand on a page in this language: of each longer text, the longest piece between placeholders."""
    found = []
    for each in messages(language):
        for text in each.texts:
            piece = max(PLACEHOLDER.split(text), key=len).strip()
            if len(piece) >= SHORTEST and not any(piece in translated for translated in each.translations):
                found.append(piece)
    return tuple(found)


def read(page: str) -> str:
    """All that is read or read aloud on a page, in one line: texts, labels, descriptions."""
    page = re.sub(r"<(script|style)\b.*?</\1>", " ", page, flags=re.DOTALL)
    spoken = " ".join(re.findall(r'(?:aria-label|alt|title|placeholder)="([^"]*)"', page))
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page) + " " + spoken).split())


def english_in(page: str, language: str) -> list[str]:
    text = read(page)
    return [piece for piece in english_pieces(language) if piece in text]


def assert_speaks(page: str, language: str) -> None:
    assert f'<html lang="{language}"' in page
    assert english_in(page, language) == []


def speaking(client: Client, language: str) -> Client:
    client.cookies[site.LANGUAGE_COOKIE_NAME] = language
    return client


@pytest.mark.parametrize("language", LANGUAGES)
def test_english_is_noticed(language: str, world: World) -> None:
    """What the tests below look for is found on an English page."""
    page = logged_in(world.alice.user).get("/").content.decode()
    found = english_in(page, language)
    assert "Skip to the content" in found
    assert any(piece.startswith("Patient Passport only reads what hospitals") for piece in found)


@pytest.mark.slow
@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("who", ["alice", "bob", "doctor", "stranger", "admin", "nobody"])
def test_every_page_speaks_the_readers_language(who: str, language: str, world: World) -> None:
    """Each address for each role: the page, or the refusal."""
    people: dict[str, Any] = {"alice": world.alice.user, "bob": world.bob.user, "nobody": None}
    user = people[who] if who in people else getattr(world, who)
    client = speaking(logged_in(user) if user else Client(), language)
    n_pages = 0
    for name in dict.fromkeys(pattern.name for pattern in page_urls.urlpatterns if pattern.name):
        answer = client.get(address_of(name, world))
        if answer.get("Content-Type", "").startswith("text/html") and answer.content:
            n_pages += 1
            assert_speaks(answer.content.decode(), language)
    assert n_pages >= 3


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_patients_own_pages_speak_the_readers_language(language: str, world: World) -> None:
    client = speaking(logged_in(world.alice.user), language)
    names = ["home", "own_history", "own_record", "who_looked", "permissions", "hidden", "account"]
    for address in [*(address_of(name, world) for name in names), reverse("own_history") + "?q=nothing-like-it"]:
        assert_speaks(client.get(address).content.decode(), language)


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_wrong_with_a_form_is_said_in_the_readers_language(language: str, world: World) -> None:
    patient, doctor = (speaking(logged_in(user), language) for user in (world.alice.user, world.doctor))
    nobody = speaking(Client(), language)
    answers = [
        nobody.post("/", {}),
        nobody.post("/", {"name": "alice", "password": "wrong"}),
        nobody.post(reverse("claim"), {}),
        nobody.post(reverse("claim"), {"national_id": NUMBER, "birth_date": "yesterday", "code": "ABCD"}),
        nobody.post(reverse("forgotten"), {}),
        patient.get(reverse("own_history"), {"from": "yesterday", "category": "no-such", "hospital": "no-such"}),
        patient.get(reverse("own_history"), {"from": "2024-05-02", "to": "2024-05-01"}),
        patient.get(reverse("own_history"), {"cursor": "damaged"}),
        patient.post(reverse("account_password"), {}),
        patient.post(reverse("account_password"), {"current": PASSWORD, "new": "12345", "again": "12345"}),
        patient.post(reverse("account_contact"), {"email": "nobody", "phone": "many", "what": "email"}),
        patient.post(reverse("people"), {"code": "ABCD-EFGH-JKMN"}),
        patient.post(reverse("let_in"), {}),
        patient.post(reverse("invite"), {}),
        patient.post(reverse("hidden"), {}),
        doctor.post(reverse("find_patient"), {}),
        doctor.post(reverse("find_patient"), {"national_id": "0000 1111"}),
        doctor.post(reverse("emergency"), {"national_id": "", "reason": "x"}),
    ]
    for answer in answers:
        assert_speaks(answer.content.decode(), language)


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_not_there_is_said_in_the_readers_language(language: str, world: World) -> None:
    client = speaking(logged_in(world.alice.user), language)
    for address in ("/nowhere/at/all", reverse("own_record", args=["1-1-obs-999999999"])):
        answer = client.get(address)
        assert answer.status_code == 404
        assert_speaks(answer.content.decode(), language)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_for_our_own_faults_speaks_the_readers_language(
    language: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = speaking(logged_in(world.alice.user), language)
    client.raise_request_exception = False
    monkeypatch.setattr("passport.history.overview", None)
    answer = client.get("/")
    assert answer.status_code == 500
    assert "Something went wrong" not in answer.content.decode()


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_form_that_expired_says_so_in_the_readers_language(language: str, world: World) -> None:
    client = speaking(Client(enforce_csrf_checks=True), language)
    answer = client.post("/", {"name": "alice", "password": PASSWORD})
    assert answer.status_code == 403
    assert_speaks(answer.content.decode(), language)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_letter_about_an_emergency_is_in_the_patients_language(language: str, world: World, settings: Any) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    settings.EMAIL_HOST = "mail.example.org"
    assert world.alice.user is not None
    world.alice.user.language = language
    world.alice.user.save(update_fields=["language"])
    type(world.alice).objects.filter(pk=world.alice.pk).update(email="alice@example.org")
    opened = emergencies.EmergencyAccess.objects.create(
        pk=uuid4(),
        doctor=world.stranger,
        patient=world.alice,
        reason="Unconscious at the roadside",
        created_at=world.now,
        ends_at=world.now + emergencies.LASTS,
    )
    assert opened.mailed_at is None
    assert emergencies.tell_by_mail(now=world.now) == 1
    with translation.override(language):
        wanted = translation.gettext("Your Patient Passport was opened in an emergency")
    assert [letter.subject for letter in mail.outbox] == [wanted]
    assert not any(piece in letter.body for letter in mail.outbox for piece in english_pieces(language))


def test_only_the_kinyarwanda_says_that_it_awaits_a_speaker(world: World) -> None:
    for language in ("en", *LANGUAGES):
        page = speaking(logged_in(world.alice.user), language).get("/").content.decode()
        with translation.override("rw"):
            sentence = translation.gettext("The Kinyarwanda of these pages awaits review by a speaker.")
        assert (sentence in html.unescape(page)) == (language == "rw")
