"""Fields that no form shows, posted all the same: nobody becomes more than they are."""

from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from passport.models import EmergencyAccess, User
from tests.records import PASSWORD, make_account, make_hospital, make_patient

pytestmark = pytest.mark.django_db
#: What a form of accounts could be made to carry.
STOLEN = {"is_staff": "on", "is_superuser": "on", "role": "admin", "is_active": "on", "groups": "1"}


@pytest.fixture
def admin(settings: Any) -> User:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    return make_account(username="admin", role="admin", is_superuser=True)


@pytest.fixture
def alice(admin: User) -> User:
    user = make_patient(national_id="1199780012345678", username="alice", now=timezone.now()).user
    assert user is not None
    return user


def browser(user: User) -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(user)
    return client


def rights(user: User) -> tuple[str, bool, bool, int, int]:
    user.refresh_from_db()
    return user.role, user.is_staff, user.is_superuser, user.user_permissions.count(), user.groups.count()


NOBODY = ("patient", False, False, 0, 0)


@pytest.mark.parametrize("name", ["account_contact", "account_password", "account_codes", "account_logins", "claim"])
def test_no_page_of_ones_own_takes_a_role(name: str, alice: User) -> None:
    permission = Permission.objects.values_list("pk", flat=True)[0]
    form = {
        **STOLEN,
        "user_permissions": permission,
        "phone": "1",
        "email": "",
        "password": PASSWORD,
        "old_password": PASSWORD,
        "current_password": PASSWORD,
        "new_password1": "another-long-password",
        "new_password2": "another-long-password",
    }
    browser(alice).post(reverse(name), form)
    assert rights(alice) == NOBODY


def test_the_api_takes_no_role_with_a_login(alice: User) -> None:
    body = {"username": "alice", "password": PASSWORD, **STOLEN}
    answer = Client().post("/api/auth/token/", body, content_type="application/json")
    assert answer.status_code == 200
    assert rights(alice) == NOBODY


@pytest.mark.parametrize("role", ["patient", "doctor"])
def test_djangos_own_flags_open_no_door_without_the_role(role: str, alice: User) -> None:
    hospital = make_hospital(name="H", now=timezone.now())
    User.objects.filter(pk=alice.pk).update(role=role, hospital=hospital, is_staff=True, is_superuser=True)
    alice.refresh_from_db()
    assert browser(alice).get("/admin/").status_code == 302
    assert browser(alice).post(f"/admin/passport/user/{alice.pk}/change/", STOLEN).status_code == 302
    assert rights(alice)[0] == role


def account_form(user: User, **changes: Any) -> dict[str, Any]:
    return {"username": user.username, "first_name": "", "last_name": "", "email": "", "role": user.role, **changes}


def test_an_admin_gives_a_role_and_nothing_beside_it(admin: User, alice: User) -> None:
    permission = Permission.objects.values_list("pk", flat=True)[0]
    form = account_form(alice, is_active="on", is_staff="on", is_superuser="on", user_permissions=permission)
    answer = browser(admin).post(f"/admin/passport/user/{alice.pk}/change/", form)
    assert answer.status_code == 302
    assert rights(alice) == NOBODY


@pytest.mark.parametrize("field, value", [("password", "x"), ("login_stamp", "x"), ("id", "x"), ("last_login", "x")])
def test_what_a_form_does_not_show_it_does_not_take(field: str, value: str, admin: User, alice: User) -> None:
    before = getattr(alice, field)
    form = account_form(alice, is_active="on", **{field: value})
    assert browser(admin).post(f"/admin/passport/user/{alice.pk}/change/", form).status_code == 302
    alice.refresh_from_db()
    assert getattr(alice, field) == before


def test_an_account_is_added_with_its_role_alone(admin: User) -> None:
    form = {
        "username": "mallory",
        "role": "patient",
        "password1": "a-long-password-of-hers",
        "password2": "a-long-password-of-hers",
        "is_staff": "on",
        "is_superuser": "on",
    }
    assert browser(admin).post("/admin/passport/user/add/", form).status_code == 302
    assert rights(User.objects.get(username="mallory")) == NOBODY


@pytest.mark.parametrize("sent", [{"patient": ""}, {"created_at_0": "2000-01-01"}, {"reason": "It was fine"}])
def test_a_review_changes_nothing_but_the_review(sent: dict[str, str], admin: User) -> None:
    now = timezone.now()
    doctor = make_account(username="doctor", role="doctor", hospital=make_hospital(name="H", now=now))
    one = EmergencyAccess.objects.create(doctor=doctor, reason="Unconscious, no papers", created_at=now, ends_at=now)
    form = {"outcome": "justified", "review_note": "Seen", "doctor": str(admin.pk), "ends_at_0": "2099-01-01", **sent}
    browser(admin).post(f"/admin/passport/emergencyaccess/{one.pk}/change/", form)
    again = EmergencyAccess.objects.get(pk=one.pk)
    assert (again.doctor_id, again.reason, again.created_at, again.ends_at) == (doctor.pk, one.reason, now, now)


@pytest.mark.parametrize("page", ["auditevent", "user"])
def test_an_action_of_the_list_deletes_no_account_and_no_trace(page: str, admin: User, alice: User) -> None:
    model = "passport/auditevent" if page == "auditevent" else "passport/emergencyaccess"
    form = {"action": "delete_selected", "_selected_action": ["1", str(alice.pk)], "post": "yes"}
    from passport.models import AuditEvent

    before = AuditEvent.objects.count()
    browser(admin).post(f"/admin/{model}/", form)
    assert AuditEvent.objects.count() >= before
    assert User.objects.filter(pk=alice.pk).exists()


#: What an admin is shown nowhere: model of the admin → what an address might ask of it.
NOT_TOLD = {
    "otp_totp/totpdevice": ["key__startswith=a", "last_t__gt=0"],
    "passport/user": ["password__startswith=argon2", "stamp__isnull=False", "entries__key__startswith=a"],
    "passport/proxy": ["sensitive__icontains=hiv", "code_hash__startswith=a", "named__startswith=S"],
    "passport/accessgrant": ["named__startswith=B"],
    "passport/patient": ["hides__isnull=False", "hide__isnull=False", "user__password__startswith=a", "shares__gt=0"],
    "passport/recoverydevice": ["codes__code_hash__startswith=a", "codes__isnull=False"],
    "passport/emergencyaccess": ["patient__given_name__startswith=M", "patient__isnull=True", "mailed_at__isnull=True"],
}


@pytest.mark.parametrize("page", NOT_TOLD)
def test_no_address_of_a_list_reads_a_column_that_it_does_not_show(page: str, admin: User) -> None:
    """Letter by letter: a list that is empty, or not, answers a question about a secret."""
    client = browser(admin)
    for asked in NOT_TOLD[page]:
        answer = client.get(f"/admin/{page}/?{asked}")
        # Django calls it suspicious, or leads to the list of all with `e=1`: no list is narrowed by it.
        assert (answer.status_code, answer.headers.get("Location", "?e=1")[-4:]) in {(400, "?e=1"), (302, "?e=1")}, (
            asked
        )
    assert client.get(f"/admin/{page}/?pk__isnull=False").status_code == 200
