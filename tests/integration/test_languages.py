"""Pages speak the reader's language; what admins and programs read stays English."""

import pytest
from django.urls import reverse

from passport.models import User

pytestmark = pytest.mark.django_db


def language_of(answer):
    return answer.content.decode().split('<html lang="', 1)[1].split('"', 1)[0]


@pytest.mark.parametrize("wanted, got", [("rw", "rw"), ("fr-CA,fr;q=0.9", "fr"), ("de", "en"), ("", "en")])
def test_the_browsers_language_counts_where_nothing_was_chosen(client, wanted, got):
    assert language_of(client.get("/", headers={"accept-language": wanted})) == got


def test_a_choice_outlives_the_browsers_wish(client):
    answer = client.post(reverse("choose_language"), {"language": "rw", "next": "/log-in/code"})
    assert (answer.status_code, answer["Location"]) == (302, "/log-in/code")
    assert language_of(client.get("/", headers={"accept-language": "fr"})) == "rw"


def test_an_accounts_choice_follows_it_to_another_browser(client, django_user_model):
    account = User.objects.create_user("alice", password="a long pass phrase", language="fr")
    client.force_login(account)
    assert language_of(client.get("/nowhere", headers={"accept-language": "rw"})) == "fr"


def test_a_choice_is_kept_with_the_account(client):
    account = User.objects.create_user("alice", password="a long pass phrase")
    client.force_login(account)
    client.session["entered_through_the_door"] = True
    client.post(reverse("choose_language"), {"language": "rw", "next": "/"})
    account.refresh_from_db()
    assert account.language == "rw"


@pytest.mark.parametrize("language", ["", "de", "rw\r\nSet-Cookie: a=b", "x" * 5000])
def test_a_language_that_is_none_changes_nothing(client, language):
    answer = client.post(reverse("choose_language"), {"language": language, "next": "https://example.org/"})
    assert (answer.status_code, answer["Location"]) == (302, "/")
    assert "django_language" not in answer.cookies


def test_a_language_is_not_chosen_by_a_link(client):
    assert client.get(reverse("choose_language"), {"language": "rw"}).status_code == 405


def test_the_admins_pages_and_the_api_speak_english(client, admin_client):
    assert b'lang="en' in admin_client.get("/admin/", headers={"accept-language": "fr"}).content
    answer = client.post("/api/auth/token/", {}, content_type="application/json", headers={"accept-language": "fr"})
    assert b"required" in answer.content
