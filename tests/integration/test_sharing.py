"""Links that a patient gives out: made, opened, guessed at, ended; read by somebody else's library for JOSE."""

import datetime as dt
import json
from base64 import urlsafe_b64decode
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connections
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from jwcrypto import jwe, jwk

from passport import standing
from passport.access import hides
from passport.models import AuditEvent, Hide, Link, Share, ShareOpening, User
from passport.models.links import LinkState
from passport.sharing import content, opening, shares
from tests.records import Chart, fill_district_hospital, fill_health_centre, make_account, make_hospital, make_patient

pytestmark = pytest.mark.django_db
NUMBER = "1198180012345678"
VIRAL_LOAD = "856".ljust(36, "A")


class World:
    """Alice has entries at two hospitals, one of them of a sensitive set; Bob is another patient."""

    def __init__(self) -> None:
        self.now = timezone.now()
        self.kigali = make_hospital(name="Kigali District Hospital", code="kigali", now=self.now)
        self.remera = make_hospital(name="Remera Health Centre", code="remera", now=self.now)
        self.alice = make_patient(national_id=NUMBER, username="alice", now=self.now)
        self.bob = make_patient(national_id="1199070098765432", username="bob", given_name="Bob", now=self.now)
        charts = {fill_district_hospital: self.kigali, fill_health_centre: self.remera}
        for fill, hospital in charts.items():
            chart = Chart(patient=self.alice, hospital=hospital, now=self.now)
            fill(chart)
            if hospital is self.kigali:
                at = chart.moment(1, "10:00:00")
                chart.add(concept="Viral load", value="undetectable", at=at, concept_uuid=VIRAL_LOAD)
            chart.save()

    def browser(self, who: str) -> Client:
        client = Client()
        client.force_login(User.objects.get(username=who))
        return client

    def share(self, **fields: Any) -> shares.Made:
        wish = content.Wish(**{name: fields.pop(name) for name in list(fields) if name in WISHES})
        defaults = {"ends_at": self.now + dt.timedelta(days=7), "now": self.now}
        return shares.make_share(patient=self.alice, actor=self.alice.user, wish=wish, **(defaults | fields))


WISHES = ("categories", "hospitals", "sensitive", "with_hidden")


@pytest.fixture
def world(settings: Any) -> World:
    cache.clear()
    Path(settings.STATIC_ROOT).mkdir(exist_ok=True)
    # slow on purpose, and asked for at every opening; what is used is asked for by a test of its own
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    return World()


def ask(token: str, headers: dict[str, str] | None = None, **body: Any) -> Any:
    address = reverse("shared_manifest", args=[token])
    asked = json.dumps({"recipient": "Dr Mugisha, Nairobi", **body})
    browser = Client(enforce_csrf_checks=True)
    return browser.post(address, asked, content_type="application/json", headers=headers)


@dataclass
class Received:
    """A link as its recipient has it."""

    text: str
    payload: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        coded = self.text.partition("#shlink:/")[2]
        self.payload = json.loads(urlsafe_b64decode(coded + "=" * (-len(coded) % 4)))

    def open(self, sealed: str) -> dict[str, Any]:
        """With jwcrypto, which shares no line with what sealed it."""
        token = jwe.JWE()
        token.deserialize(sealed, key=jwk.JWK(kty="oct", k=self.payload["key"]))
        header = json.loads(token.objects["protected"])
        assert header == {"alg": "dir", "enc": "A256GCM", "cty": "application/fhir+json"}
        return json.loads(token.payload)


def key_of(made: shares.Made) -> Received:
    from passport.sharing.links import link_to

    return Received(link_to(made.share, page="https://p.example/s/x", manifest="https://p.example/s/x/manifest"))


def opened_text(made: shares.Made, **body: Any) -> str:
    answer = ask(made.share.token, passcode=made.passcode, **body)
    assert answer.status_code == 200, answer.content
    return json.dumps(key_of(made).open(answer.json()["files"][0]["embedded"]), ensure_ascii=False)


# --- made -------------------------------------------------------------------------------------------------------------

FORM = {
    "categories": ["allergy", "condition", "medication", "test"],
    "hospitals": ["kigali", "remera"],
    "term": "week",
    "openings": "3",
    "label": "Dr Mugisha",
}


def test_a_link_made_on_the_page_is_opened_by_another_library(world: World) -> None:
    client = world.browser("alice")
    answer = client.post(reverse("share"), FORM | {"make": "1"})
    shown = client.get(answer.headers["Location"]).context["shown"]
    link = Received(shown.link)
    share = Share.objects.get()
    assert link.payload == {
        "url": f"http://testserver/s/{share.token}/manifest/",
        "exp": int(share.ends_at.timestamp()),
        "flag": "P",
        "key": link.payload["key"],
        "label": "Dr Mugisha",
        "v": 1,
    }
    assert len(link.payload["url"]) <= 128  # of the specification
    files = ask(share.token, passcode=shown.passcode).json()["files"]
    assert [file["contentType"] for file in files] == ["application/fhir+json"]
    bundle = link.open(files[0]["embedded"])
    assert bundle["type"] == "document"
    assert "Penicillin" in json.dumps(bundle)


def test_the_key_reaches_the_server_in_no_address_and_is_kept_sealed(world: World) -> None:
    made = world.share()
    link = key_of(made)
    address, _hash, behind = link.text.partition("#")
    assert link.payload["key"] in urlsafe_b64decode(behind.removeprefix("shlink:/") + "===").decode()
    assert link.payload["key"] not in address + link.payload["url"]
    row = json.dumps(list(Share.objects.values()), default=str)
    assert link.payload["key"] not in row
    assert made.passcode not in row


def test_a_passcode_is_kept_as_slowly_as_a_password(world: World, settings: Any) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
    made = world.share()
    assert made.share.passcode_hash.startswith("argon2$argon2id$")
    assert ask(made.share.token, passcode=made.passcode).status_code == 200


def test_the_link_is_shown_for_minutes_and_to_the_login_that_made_it(world: World) -> None:
    client = world.browser("alice")
    address = client.post(reverse("share"), FORM | {"make": "1"}).headers["Location"]
    assert world.browser("alice").get(address).headers["Location"] == reverse("share")
    assert client.get(address).status_code == 200
    Share.objects.update(created_at=world.now - dt.timedelta(minutes=11))
    assert client.get(address).headers["Location"] == reverse("share")


def test_another_patient_neither_sees_nor_ends_a_share(world: World) -> None:
    made = world.share(label="For the pharmacy")
    bob = world.browser("bob")
    assert "For the pharmacy" not in bob.get(reverse("share")).content.decode()
    bob.post(reverse("end_share", args=[made.share.pk]))
    assert Share.objects.get().ended_at is None


def test_the_preview_shows_what_was_chosen_and_makes_nothing(world: World) -> None:
    page = world.browser("alice").post(reverse("share"), FORM | {"categories": ["allergy"], "preview": "1"})
    found = page.content.decode()
    assert "Penicillin" in found
    assert "Metformin" not in found
    assert not Share.objects.exists()


@pytest.mark.parametrize(
    "wrong",
    [{"categories": []}, {"hospitals": []}, {"term": "century"}, {"openings": "99"}, {"hospitals": ["nowhere"]}],
)
def test_a_wish_that_cannot_be_is_a_sentence(wrong: dict[str, Any], world: World) -> None:
    page = world.browser("alice").post(reverse("share"), FORM | wrong | {"make": "1"})
    assert page.status_code == 400
    assert "Choose" in page.content.decode()
    assert not Share.objects.exists()


def test_a_day_has_so_many_links(world: World) -> None:
    Share.objects.bulk_create(
        Share(patient=world.alice, token=f"{n:043d}", key_sealed="x", created_at=world.now, ends_at=world.now)
        for n in range(shares.MOST_A_DAY)
    )
    page = world.browser("alice").post(reverse("share"), FORM | {"make": "1"})
    assert "very many links today" in page.content.decode()


# --- what is in it ----------------------------------------------------------------------------------------------------


def test_sensitive_and_hidden_entries_are_in_no_share_unless_chosen(world: World) -> None:
    Hide.objects.create(patient=world.alice, kind="category", category="allergy", created_at=world.now)
    plain = opened_text(world.share())
    assert "HbA1c" in plain
    assert "Viral load" not in plain
    assert "Penicillin" not in plain
    assert "Viral load" in opened_text(world.share(sensitive=frozenset({"hiv"})))
    assert "Penicillin" in opened_text(world.share(with_hidden=True))


def test_a_share_shows_the_kinds_and_hospitals_that_were_chosen(world: World) -> None:
    found = opened_text(world.share(categories=frozenset({"medication"})))
    assert "Metformin" in found
    assert "HbA1c" not in found
    elsewhere = opened_text(world.share(hospitals=frozenset({world.remera.pk})))
    assert "Malaria rapid test" in elsewhere
    assert "HbA1c" not in elsewhere
    assert "Kigali District Hospital" not in elsewhere


@pytest.mark.parametrize(
    "language, said",
    [("en", "1 tablet, by mouth, twice a day"), ("fr", "1 comprimé, par la bouche, deux fois par jour")],
)
def test_a_dose_is_said_in_the_recipients_words_and_the_hospitals_stay_beside(
    language: str, said: str, world: World
) -> None:
    made = world.share()
    answer = ask(made.share.token, passcode=made.passcode, headers={"accept-language": language})
    bundle = key_of(made).open(answer.json()["files"][0]["embedded"])
    [order] = [one["resource"] for one in bundle["entry"] if one["resource"]["resourceType"] == "MedicationRequest"]
    [dosage] = order["dosageInstruction"]
    assert dosage["text"] == said
    assert (dosage["route"]["text"], dosage["timing"]["code"]["text"]) == ("Oral", "Twice daily")


def test_the_preview_says_a_dose_as_the_recipient_reads_it(world: World) -> None:
    told = world.browser("alice").post(reverse("share"), FORM | {"preview": "1"}).content.decode()
    assert "1 tablet, by mouth, twice a day" in told


def test_what_is_hidden_later_is_gone_from_an_older_share(world: World) -> None:
    made = world.share()
    assert "Metformin" in opened_text(made)
    hides.hide_category(patient=world.alice, actor=world.alice.user, category="medication", now=world.now)
    assert "Metformin" not in opened_text(made)


def test_what_is_unlinked_or_held_later_is_gone_from_an_older_share(world: World) -> None:
    made = world.share()
    assert "HbA1c" in opened_text(made)
    Link.objects.filter(patient=world.alice, hospital=world.kigali).update(state=LinkState.HELD)
    found = opened_text(made)
    assert "HbA1c" not in found
    assert "Malaria rapid test" in found


# --- opened, guessed at, ended ----------------------------------------------------------------------------------------


def test_the_sixth_try_is_closed_even_with_the_right_passcode(world: World) -> None:
    """T62: a passcode cannot be guessed by trying all of them."""
    made = world.share(most_openings=None)
    wrong = "000000" if made.passcode != "000000" else "111111"
    answers = [ask(made.share.token, passcode=wrong) for _try in range(5)]
    assert [(each.status_code, each.json()) for each in answers] == [
        (401, {"remainingAttempts": left}) for left in (4, 3, 2, 1, 0)
    ]
    assert ask(made.share.token, passcode=made.passcode).status_code == 404
    assert Share.objects.get().ended_why == "guessed"


def test_a_right_passcode_gives_its_try_back(world: World) -> None:
    made = world.share()
    ask(made.share.token, passcode="x")
    for _opening in range(6):
        assert ask(made.share.token, passcode=made.passcode).status_code == 200
    assert ask(made.share.token, passcode="x").json() == {"remainingAttempts": 3}


def closings(made: shares.Made, world: World) -> dict[str, Any]:
    def end() -> None:
        shares.end_share(patient=world.alice, actor=world.alice.user, share_id=made.share.pk, now=timezone.now())

    def use_up() -> None:
        assert ask(made.share.token, passcode=made.passcode).status_code == 200

    def withdraw() -> None:
        standing.record_consent(patient=world.alice, how="paper", actor=None, now=world.now)
        standing.withdraw_consent(patient=world.alice, actor=world.alice.user, now=world.now)

    return {
        "ended": end,
        "over": lambda: Share.objects.update(ends_at=timezone.now()),
        "used up": use_up,
        "consent": withdraw,
    }


@pytest.mark.parametrize("how", ["ended", "over", "used up", "consent"])
def test_a_share_that_is_not_open_answers_like_an_unknown_one(how: str, world: World) -> None:
    """T62: an expired or revoked link opens nothing, and does not say which it is."""
    made = world.share(most_openings=1)
    closings(made, world)[how]()
    unknown = ask("x" * 43, passcode=made.passcode)
    answer = ask(made.share.token, passcode=made.passcode)
    assert (answer.status_code, answer.content) == (unknown.status_code, unknown.content)
    assert unknown.status_code == 404


def test_each_opening_and_each_failed_try_is_written_down(world: World) -> None:
    """T62: each opening is logged."""
    made = world.share(most_openings=1)
    ask(made.share.token, passcode="wrong", recipient="Guesser")
    ask(made.share.token, passcode=made.passcode, recipient="Dr Mugisha, Nairobi")
    ask(made.share.token, passcode=made.passcode, recipient="Late")
    found = ShareOpening.objects.order_by("at").values_list("recipient", "outcome")
    assert list(found) == [("Guesser", "wrong"), ("Dr Mugisha, Nairobi", "opened"), ("Late", "closed")]
    told = AuditEvent.objects.filter(patient_id=world.alice.pk, action__startswith="share_").order_by("seq")
    assert [event.action for event in told] == ["share_made", "share_wrong", "share_opened", "share_closed"]
    assert "Mugisha" not in json.dumps([event.details for event in told])
    client = world.browser("alice")
    page = client.get(reverse("share")).content.decode()
    for words in ("Dr Mugisha, Nairobi", "opened it", "typed a wrong passcode", "found it closed", "used up"):
        assert words in page
    assert "Somebody with a link of yours" in client.get(reverse("who_looked")).content.decode()


def test_nothing_is_handed_out_that_could_not_be_written_down(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    made = world.share()

    def fail(**_fields: Any) -> None:
        raise RuntimeError

    monkeypatch.setattr(opening, "record_event", fail)
    with pytest.raises(RuntimeError):
        ask(made.share.token, passcode=made.passcode)
    assert Share.objects.get().n_openings == 0


@pytest.mark.django_db(transaction=True)
def test_many_guesses_at_once_are_no_more_than_five(world: World) -> None:
    made = world.share()

    def guess(number: int) -> bool:
        try:
            opening.open_share(token=made.share.token, recipient="Many", passcode=f"{number}", now=world.now)
        except opening.WrongPasscode:
            return True
        except opening.ShareClosed:
            return False
        finally:
            connections.close_all()
        return False

    with ThreadPoolExecutor(8) as threads:
        n_looked_at = sum(threads.map(guess, range(16)))
    assert n_looked_at == opening.MOST_WRONG
    assert Share.objects.get().ended_why == "guessed"


@pytest.mark.django_db(transaction=True)
def test_many_openings_at_once_are_no_more_than_allowed(world: World) -> None:
    made = world.share(most_openings=2)

    def open_one(_number: int) -> bool:
        try:
            opening.open_share(token=made.share.token, recipient="Many", passcode=made.passcode, now=world.now)
        except opening.ShareClosed:
            return False
        finally:
            connections.close_all()
        return True

    with ThreadPoolExecutor(4) as threads:
        assert sum(threads.map(open_one, range(4))) == 2


def test_one_network_has_so_many_tries(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("passport.views.shares.MOST_OF_NETWORK", 3)
    assert [ask("x" * 43).status_code for _try in range(4)] == [404, 404, 404, 429]


# --- as the specification has it --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        *("", "[]", "{", "null", "[" * 3000, "x" * 9000),
        *('{"recipient": 1}', '{"recipient": ""}', '{"recipient": " \\u0000"}', '{"passcode": "1"}'),
        *('{"recipient": "a", "passcode": 1}', '{"recipient": "a", "embeddedLengthMax": "b"}'),
    ],
)
def test_a_request_that_is_none_is_refused(body: str, world: World) -> None:
    made = world.share()
    address = reverse("shared_manifest", args=[made.share.token])
    assert Client().post(address, body, content_type="application/json").status_code == 400
    assert Share.objects.get().n_wrong == 0


@pytest.mark.parametrize("passcode", ["\ud800", "\x00", "é" * 500, None])
def test_a_passcode_that_is_none_is_a_wrong_one(passcode: str | None, world: World) -> None:
    assert ask(world.share().share.token, passcode=passcode).status_code == 401


def test_what_is_too_long_to_embed_is_collected_once(world: World) -> None:
    made = world.share()
    file = ask(made.share.token, passcode=made.passcode, embeddedLengthMax=100).json()["files"][0]
    assert "embedded" not in file
    first, second = (Client().get(file["location"]) for _time in range(2))
    assert first.headers["Content-Type"] == "application/jose"
    assert "Penicillin" in json.dumps(key_of(made).open(first.content.decode()))
    assert second.status_code == 404


def test_what_was_not_collected_before_the_end_is_gone(world: World) -> None:
    made = world.share()
    file = ask(made.share.token, passcode=made.passcode, embeddedLengthMax=100).json()["files"][0]
    shares.end_share(patient=world.alice, actor=world.alice.user, share_id=made.share.pk, now=timezone.now())
    assert Client().get(file["location"]).status_code == 404


def test_a_viewer_on_another_site_may_ask(world: World) -> None:
    made = world.share()
    before = Client().options(reverse("shared_manifest", args=[made.share.token]))
    assert (before.status_code, before.headers["Access-Control-Allow-Origin"]) == (204, "*")
    answer = ask(made.share.token, passcode=made.passcode)
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert not answer.cookies


def test_the_page_of_a_link_says_nothing_of_whose_it_is(world: World) -> None:
    made = world.share()
    known, unknown = (Client().get(reverse("shared_page", args=[token])) for token in (made.share.token, "x" * 43))
    assert known.status_code == unknown.status_code == 200
    assert known.content.decode().replace(made.share.token, "x" * 43) == unknown.content.decode()
    assert known.headers["Referrer-Policy"] == "no-referrer"
    assert "Uwimana" not in known.content.decode()


def test_a_login_without_a_passport_has_nothing_to_share(world: World) -> None:
    make_account(username="new")
    assert world.browser("new").get(reverse("share")).status_code == 403
