"""What no form was made for: characters that are none, bodies that are too large or too deep, files that grow. Each
gets a clear refusal, and nothing is stored of it.
"""

import gzip
import io
import json
import zipfile
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from django.core.cache import cache
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from passport.models import GlossaryTerm, SensitiveConcept, User
from tests.records import PASSWORD, make_account, make_hospital, make_patient

pytestmark = pytest.mark.django_db
NUMBER = "1199780012345678"
ODD = {
    "a null": "alice\0",
    "a null before": "\0alice",
    "right to left": "\u202eecila",
    "half a character": "alice\ud800",
    "not a character": "alice\ufffe",
    "a line's end": "alice\r\nSet-Cookie: x=1",
    "full width": "ａｌｉｃｅ",
    "with an accent": "alice\u0301",
    "without a width": "al\u200bice",
    "a thousand": "a" * 1000,
    "a formula": "=1+1",
    "sql": "alice' OR '1'='1",
    "mark-up": "<script>alert(1)</script>",
    "a template": "{{ 7|add:7 }}",
}


@pytest.fixture
def alice(settings: Any) -> User:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    cache.clear()
    user = make_patient(national_id=NUMBER, username="alice", now=timezone.now()).user
    assert user is not None
    return user


def quiet(user: User | None = None) -> Client:
    client = Client(raise_request_exception=False)
    if user is not None:
        client.force_login(user)
    return client


def fill_in(client: Client, page: str, **form: str) -> Any:
    """A form as a browser sends it, whatever is in it: half a character too."""
    body = urlencode({field: typed.encode("utf-8", "surrogatepass") for field, typed in form.items()})
    return client.post(reverse(page), body, content_type="application/x-www-form-urlencoded")


@pytest.mark.parametrize("what", ODD)
def test_a_name_that_is_none_opens_no_account(what: str, alice: User) -> None:
    client = quiet()
    answer = fill_in(client, "home", name=ODD[what], password=PASSWORD, next="")
    assert answer.status_code == 200
    assert "_auth_user_id" not in client.session
    assert "x" not in client.cookies


@pytest.mark.parametrize("what", ODD)
def test_nor_over_the_api(what: str, alice: User) -> None:
    body = json.dumps({"username": ODD[what], "password": PASSWORD})
    answer = quiet().post("/api/auth/token/", body, content_type="application/json")
    assert answer.status_code in {400, 401}
    assert "access" not in answer.json()


@pytest.mark.parametrize("what", ODD)
@pytest.mark.parametrize("name", ["claim", "forgotten"])
def test_the_other_doors_answer_in_a_sentence(name: str, what: str, alice: User) -> None:
    form = dict.fromkeys(("national_id", "birth_date", "code", "name"), ODD[what])
    assert fill_in(quiet(), name, **form).status_code == 200


@pytest.mark.parametrize("what", ODD)
def test_a_search_for_it_finds_nobody(what: str, alice: User) -> None:
    doctor = make_account(username="doctor", role="doctor", hospital=make_hospital(name="H", now=timezone.now()))
    answer = fill_in(quiet(doctor), "find_patient", national_id=ODD[what])
    # What cannot be a number is said to be none; for the rest nobody is found, as for any unknown number.
    assert answer.status_code in {200, 403}
    assert "Uwimana" not in answer.content.decode()


@pytest.mark.parametrize("what", ["a null", "right to left", "a thousand", "sql", "mark-up", "a line's end"])
@pytest.mark.parametrize("path", ["/history/", "/who-looked/", "/records/{}/"])
def test_an_address_that_carries_it_is_a_page(path: str, what: str, alice: User) -> None:
    client = quiet(alice)
    names = ("q", "category", "hospital", "from", "to", "cursor", "page", "status", "whose")
    query = dict.fromkeys(names, ODD[what])
    answer = client.get(path.format(quote(ODD[what], safe="")), query)
    assert answer.status_code in {200, 302, 400, 404}
    assert "<script>alert" not in answer.content.decode()


@pytest.mark.parametrize("path", ["/", "/claim/", "/forgotten/"])
def test_a_form_of_ten_megabytes_is_not_read(path: str, alice: User) -> None:
    assert quiet().post(path, {"name": "x" * 10_000_000, "password": "x"}).status_code == 400


def test_a_form_of_ten_thousand_fields_is_not_read(alice: User) -> None:
    body = "&".join(f"f{index}=1" for index in range(10_000))
    answer = quiet().post("/", body, content_type="application/x-www-form-urlencoded")
    assert answer.status_code == 400


@pytest.mark.parametrize("path", ["auth/token", "auth/refresh", "auth/logout"])
def test_a_json_of_ten_megabytes_is_refused(path: str, alice: User) -> None:
    body = '{"username": "' + "x" * 10_000_000 + '", "password": "x", "refresh": "x"}'
    answer = quiet().post(f"/api/{path}/", body, content_type="application/json")
    assert answer.status_code == 400
    assert answer["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    "body", ["NaN", "1e400", '{"username": NaN}', "[[[[", '{"a": 1, "a": 2}', '"x"', "null", "\ufeff{}"]
)
def test_a_json_that_is_nearly_one_is_refused(body: str, alice: User) -> None:
    answer = quiet().post("/api/auth/token/", body, content_type="application/json")
    assert answer.status_code == 400


def test_a_compressed_body_is_not_unpacked(alice: User) -> None:
    """A thousand bytes that stand for a megabyte stay a thousand bytes."""
    packed = gzip.compress(b'{"username": "' + b"x" * 1_000_000 + b'"}')
    answer = quiet().post(
        "/api/auth/token/", packed, content_type="application/json", headers={"Content-Encoding": "gzip"}
    )
    assert answer.status_code == 400


@pytest.mark.parametrize("model, counted", [("glossaryterm", GlossaryTerm), ("sensitiveconcept", SensitiveConcept)])
@pytest.mark.parametrize("kind", ["zip", "gzip", "null", "large", "wide"])
def test_a_file_that_is_no_sheet_changes_nothing(kind: str, model: str, counted: Any, alice: User) -> None:
    admin = make_account(username="admin", role="admin", is_superuser=True)
    before = counted.objects.count()
    sheet = SimpleUploadedFile("sheet.csv", _file(kind), content_type="text/csv")
    answer = quiet(admin).post(f"/admin/passport/{model}/import/", {"sheet": sheet})
    assert answer.status_code == 200
    assert counted.objects.count() == before


def _file(kind: str) -> bytes:
    if kind == "zip":
        held = io.BytesIO()
        with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("sheet.csv", b"0" * 10_000_000)
        return held.getvalue()
    return {
        "gzip": gzip.compress(b"0" * 10_000_000),
        "null": b"concept,name,language,words,more,reviewed\n\0\0\0\n",
        "large": b"concept,name,language,words,more,reviewed\n" + b"x" * 5_000_001,
        "wide": b"," * 1_000_000,
    }[kind]
