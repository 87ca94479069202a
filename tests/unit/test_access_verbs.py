"""Letting in, inviting, breaking the glass, claiming: what may be asked for, by whom, and what is written down."""

import datetime as dt
from typing import Any
from uuid import uuid4

import pytest
from django.core import mail
from django.db import connection
from django.test.utils import CaptureQueriesContext

from passport.access import AccessRefused, Basis, NotAllowed, claims, emergencies, grants, may_read, proxies, sensitive
from passport.access.reasons import find_reason
from passport.models import AccessGrant, AuditEvent, Doctor, EmergencyAccess, Patient, Proxy, SensitiveConcept, User
from tests.records import make_account, make_hospital, make_patient

NOW = dt.datetime(2026, 3, 4, 10, 0, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
DAY = dt.timedelta(days=1)
NUMBER = "1199780012345678"
REASON = "Unconscious after an accident"


class Cast:
    def __init__(self) -> None:
        self.hospital = make_hospital(name="Ruhengeri", now=NOW)
        self.alice: Patient = make_patient(national_id=NUMBER, now=NOW, username="alice")
        assert self.alice.user is not None
        self.user: User = self.alice.user
        self.doctor = make_account(
            username="agatera", role="doctor", hospital=self.hospital, first_name="Bob", last_name="Gatera"
        )
        self.carer = make_account(username="carer")
        self.admin = make_account(username="admin", role="admin")

    def let_in(self, name: str = "", **fields: Any) -> AccessGrant:
        return grants.let_in(
            **{
                "patient": self.alice,
                "actor": self.user,
                "hospital": self.hospital,
                "doctor_name": name,
                "ends_at": NOW + DAY,
                "now": NOW,
                **fields,
            }
        )

    def invite(self, **fields: Any) -> tuple[Proxy, str]:
        return proxies.invite(
            **{
                "patient": self.alice,
                "actor": self.user,
                "named": "Sister",
                "ends_at": NOW + 30 * DAY,
                "sensitive": [],
                "now": NOW,
                **fields,
            }
        )

    def read(self, user: User, *, now: dt.datetime = NOW) -> Basis | None:
        return may_read(user=user, patient=self.alice, now=now)


@pytest.fixture
def cast(db: None) -> Cast:
    return Cast()


def actions() -> list[str]:
    """What was written down since the passports were made."""
    made = {"patient_registered", "identifier_added"}
    return [e.action for e in AuditEvent.objects.order_by("seq") if e.action not in made]


# --- letting in -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["agatera", "AGATERA", "Bob Gatera", "  bob   gatera ", "Dr B. Gatera"])
def test_a_doctor_is_let_in_by_username_own_name_or_the_name_of_a_claimed_row(cast: Cast, name: str) -> None:
    row = Doctor.objects.create(
        hospital=cast.hospital, provider_uuid=str(uuid4()), name="Dr  B. Gatera", created_at=NOW
    )
    claims.claim(rows=[row], account=cast.doctor, actor=cast.admin, now=NOW)
    cast.let_in(name)
    assert cast.read(cast.doctor) is Basis.GRANT


@pytest.mark.parametrize("name", ["Gatera", "Bob", "agatera ,", "Dr Unclaimed"])
def test_a_name_that_is_not_quite_it_lets_nobody_in_and_says_nothing(cast: Cast, name: str) -> None:
    Doctor.objects.create(hospital=cast.hospital, provider_uuid=str(uuid4()), name="Dr Unclaimed", created_at=NOW)
    right, wrong = cast.let_in("agatera"), cast.let_in(name)
    right.delete()
    assert cast.read(cast.doctor) is None
    assert wrong in grants.grants_of(cast.alice, now=NOW)
    assert actions() == ["grant_made", "grant_made"]


def test_two_of_one_name_are_nobody(cast: Cast) -> None:
    make_account(username="other", role="doctor", hospital=cast.hospital, first_name="Bob", last_name="Gatera")
    cast.let_in("Bob Gatera")
    assert cast.read(cast.doctor) is None


@pytest.mark.parametrize("fields", [{"is_active": False}, {"role": "patient"}, {"role": "admin"}])
def test_only_an_active_doctor_of_that_hospital_is_found(cast: Cast, fields: dict[str, Any]) -> None:
    User.objects.filter(pk=cast.doctor.pk).update(**fields)
    assert cast.let_in("agatera").doctor is None
    elsewhere = make_hospital(name="Butare", now=NOW)
    User.objects.filter(pk=cast.doctor.pk).update(is_active=True, role="doctor")
    assert cast.let_in("agatera", hospital=elsewhere).doctor is None


def test_a_right_and_a_wrong_name_cost_the_same_queries(cast: Cast) -> None:
    counts = []
    for name in ("agatera", "nobody"):
        with CaptureQueriesContext(connection) as queries:
            cast.let_in(name)
        counts.append(len(queries))
    assert counts[0] == counts[1]


@pytest.mark.parametrize("ends_at", [NOW, NOW - HOUR, NOW + 367 * DAY])
def test_an_end_must_lie_ahead_and_within_a_year(cast: Cast, ends_at: dt.datetime) -> None:
    for ask in (cast.let_in, cast.invite):
        with pytest.raises(AccessRefused):
            ask(ends_at=ends_at)
    assert not AccessGrant.objects.exists()
    assert not Proxy.objects.exists()


def test_names_cannot_be_tried_without_end(cast: Cast) -> None:
    for number in range(grants.MOST_A_DAY):
        cast.let_in(f"name {number}")
    with pytest.raises(AccessRefused):
        cast.let_in("agatera")
    assert cast.let_in("agatera", now=NOW + DAY + HOUR, ends_at=NOW + 3 * DAY)


def test_a_patient_ends_their_own_permission_once(cast: Cast) -> None:
    other = make_patient(national_id="AB1234", now=NOW, username="other")
    assert other.user is not None
    grant = cast.let_in("agatera")
    assert not grants.end_grant(patient=other, actor=other.user, grant_id=grant.pk, now=NOW)
    assert cast.read(cast.doctor) is Basis.GRANT
    assert grants.end_grant(patient=cast.alice, actor=cast.user, grant_id=grant.pk, now=NOW)
    assert cast.read(cast.doctor) is None
    assert grants.grants_of(cast.alice, now=NOW) == []
    assert not grants.end_grant(patient=cast.alice, actor=cast.user, grant_id=grant.pk, now=NOW)
    assert actions() == ["grant_made", "grant_ended"]


# --- guardians and carers ---------------------------------------------------------------------------------------------


def test_a_code_lets_in_whoever_enters_it_first_and_nobody_after(cast: Cast) -> None:
    _proxy, code = cast.invite()
    second = make_account(username="second")
    proxies.accept(user=cast.carer, code=code.lower().replace("-", " "), now=NOW)
    with pytest.raises(AccessRefused):
        proxies.accept(user=second, code=code, now=NOW)
    assert (cast.read(cast.carer), cast.read(second)) == (Basis.CARER, None)
    assert actions() == ["proxy_invited", "proxy_accepted", "proxy_code_refused"]


def test_the_code_is_kept_nowhere(cast: Cast) -> None:
    proxy, code = cast.invite()
    assert code.replace("-", "") not in repr(Proxy.objects.filter(pk=proxy.pk).values())
    assert all(code not in repr(e.details) for e in AuditEvent.objects.all())


@pytest.mark.parametrize("wait", [proxies.CODE_LASTS, dt.timedelta(days=31)])
def test_an_old_code_lets_nobody_in(cast: Cast, wait: dt.timedelta) -> None:
    _proxy, code = cast.invite()
    with pytest.raises(AccessRefused):
        proxies.accept(user=cast.carer, code=code, now=NOW + wait)


def test_one_cannot_take_ones_own_invitation_nor_an_ended_one(cast: Cast) -> None:
    proxy, code = cast.invite()
    with pytest.raises(AccessRefused):
        proxies.accept(user=cast.user, code=code, now=NOW)
    assert proxies.end_proxy(proxy_id=proxy.pk, actor=cast.user, now=NOW)
    with pytest.raises(AccessRefused):
        proxies.accept(user=cast.carer, code=code, now=NOW)


@pytest.mark.parametrize("code", ["", "----", "x" * 12])
def test_a_code_that_is_none_opens_nothing_that_was_taken(cast: Cast, code: str) -> None:
    _proxy, right = cast.invite()
    proxies.accept(user=make_account(username="first"), code=right, now=NOW)
    with pytest.raises(AccessRefused):
        proxies.accept(user=cast.carer, code=code, now=NOW)
    assert cast.read(cast.carer) is None


@pytest.mark.parametrize("who", ["user", "carer", "admin"])
def test_patient_carer_and_admin_may_end_it_and_nobody_else(cast: Cast, who: str) -> None:
    proxy, code = cast.invite()
    proxies.accept(user=cast.carer, code=code, now=NOW)
    assert not proxies.end_proxy(proxy_id=proxy.pk, actor=cast.doctor, now=NOW)
    assert cast.read(cast.carer) is Basis.CARER
    assert proxies.end_proxy(proxy_id=proxy.pk, actor=getattr(cast, who), now=NOW)
    assert cast.read(cast.carer) is None
    assert not proxies.end_proxy(proxy_id=proxy.pk, actor=getattr(cast, who), now=NOW)


def test_only_the_patient_chooses_what_a_carer_sees_and_only_from_the_list(cast: Cast) -> None:
    proxy, _code = cast.invite(sensitive=["hiv", "nonsense"])
    assert proxy.sensitive == ["hiv"]
    other = make_patient(national_id="AB1234", now=NOW, username="other")
    assert other.user is not None
    choose = proxies.choose_sensitive
    assert not choose(patient=other, actor=other.user, proxy_id=proxy.pk, sensitive=["pregnancy"], now=NOW)
    assert choose(patient=cast.alice, actor=cast.user, proxy_id=proxy.pk, sensitive=["pregnancy"], now=NOW)
    proxy.refresh_from_db()
    assert proxy.sensitive == ["pregnancy"]


@pytest.mark.parametrize(
    "wrong, field",
    [
        ({"reason": "mother"}, "reason"),
        ({"ends_at": NOW}, "ends_at"),
        ({"carer": "patient"}, "carer"),
        ({"carer": "closed"}, "carer"),
    ],
)
def test_an_admin_says_why_and_until_when(cast: Cast, wrong: dict[str, Any], field: str) -> None:
    closed = make_account(username="closed", is_active=False)
    people = {"patient": cast.user, "closed": closed}
    right = {"reason": "mother, birth certificate seen", "ends_at": NOW + DAY, "carer": cast.carer}
    given: dict[str, Any] = {**right, **wrong}
    given["carer"] = people.get(given["carer"], given["carer"])
    with pytest.raises(AccessRefused) as refusal:
        proxies.make_proxy(patient=cast.alice, kind="guardian", actor=cast.admin, now=NOW, **given)
    assert refusal.value.field == field
    proxies.make_proxy(patient=cast.alice, kind="guardian", actor=cast.admin, now=NOW, **right)
    assert cast.read(cast.carer) is Basis.GUARDIAN


def test_a_guardian_of_a_child_without_a_login_sees_what_the_admin_ticked(cast: Cast) -> None:
    child = make_patient(national_id="1202580012345678", now=NOW)
    right = {"reason": "mother, birth certificate seen", "ends_at": NOW + DAY, "carer": cast.carer, "now": NOW}
    proxies.make_proxy(patient=child, kind="guardian", actor=cast.admin, sensitive=["hiv", "nonsense"], **right)
    reason = find_reason(user=cast.carer, patient=child, now=NOW)
    assert reason is not None
    assert (reason.basis, reason.sensitive) == (Basis.GUARDIAN, frozenset({"hiv"}))
    row = AuditEvent.objects.get(action="proxy_made")
    assert (row.patient_id, row.details["sets"]) == (child.pk, 1)
    assert "hiv" not in str(row.details)


@pytest.mark.parametrize("who, kind", [("alice", "guardian"), ("child", "carer")])
def test_nobody_opens_sensitive_sets_of_one_who_can_choose_or_to_a_carer(cast: Cast, who: str, kind: str) -> None:
    patient = cast.alice if who == "alice" else make_patient(national_id="1202580012345678", now=NOW)
    right = {"reason": "mother, birth certificate seen", "ends_at": NOW + DAY, "carer": cast.carer, "now": NOW}
    with pytest.raises(AccessRefused) as refusal:
        proxies.make_proxy(patient=patient, kind=kind, actor=cast.admin, sensitive=["hiv"], **right)
    assert refusal.value.field == "sensitive"
    assert not Proxy.objects.exists()


# --- emergencies ------------------------------------------------------------------------------------------------------


def broken(cast: Cast, **fields: Any) -> EmergencyAccess:
    return emergencies.break_glass(
        **{"user": cast.doctor, "national_id": NUMBER, "reason": REASON, "now": NOW, **fields}
    )


def test_breaking_the_glass_opens_the_record_for_an_hour(cast: Cast) -> None:
    assert cast.read(cast.doctor) is None
    broken(cast)
    assert cast.read(cast.doctor, now=NOW + HOUR - dt.timedelta(seconds=1)) is Basis.BREAK_GLASS
    assert cast.read(cast.doctor, now=NOW + HOUR) is None


@pytest.mark.parametrize(
    "reason", ["", "emergency", "x" * 30, "." * 40, "aaaa bbbb aaaa bbbb", " " * 30, "14 characters "]
)
def test_a_reason_that_says_nothing_is_refused(cast: Cast, reason: str) -> None:
    with pytest.raises(AccessRefused) as refusal:
        broken(cast, reason=reason)
    assert refusal.value.field == "reason"
    assert not EmergencyAccess.objects.exists()


def test_fifteen_characters_are_enough(cast: Cast) -> None:
    assert broken(cast, reason="bleeding at sea").reason == "bleeding at sea"


@pytest.mark.parametrize("who", ["user", "carer", "admin"])
def test_only_a_doctor_breaks_the_glass_and_the_try_is_written_down(cast: Cast, who: str) -> None:
    with pytest.raises(NotAllowed):
        broken(cast, user=getattr(cast, who))
    cast.doctor.is_active = False
    with pytest.raises(NotAllowed):
        broken(cast)
    assert actions() == ["break_glass_refused", "break_glass_refused"]


@pytest.mark.parametrize("by", ["national_id", "patient_id"])
def test_an_unknown_number_gets_the_same_answer_row_and_queries(cast: Cast, by: str) -> None:
    known, unknown = (NUMBER, "AB1234") if by == "national_id" else (cast.alice.pk, uuid4())
    found, counts = [], []
    for key in (known, unknown):
        with CaptureQueriesContext(connection) as queries:
            found.append(broken(cast, **{"national_id": None, by: key}))
        counts.append(len(queries))
    assert counts[0] == counts[1]
    assert [each.patient for each in found] == [cast.alice, None]
    assert [(e.ends_at, e.reason) for e in found] == [(NOW + HOUR, REASON)] * 2
    events = list(AuditEvent.objects.filter(action="break_glass_opened").order_by("seq"))
    assert [(e.basis, e.hospital_id, set(e.details)) for e in events] == [
        ("break_glass", cast.hospital.pk, {"emergency"})
    ] * 2


def test_the_reason_is_not_in_the_chain(cast: Cast) -> None:
    broken(cast)
    assert all("Unconscious" not in repr(e.details) for e in AuditEvent.objects.all())


def test_emergencies_without_end_are_refused_for_a_known_number_like_for_an_unknown_one(cast: Cast) -> None:
    for number in range(emergencies.MOST_A_DAY):
        broken(cast, national_id=f"XY{number:04}")
    for number_asked in (NUMBER, "AB1234"):
        with pytest.raises(AccessRefused):
            broken(cast, national_id=number_asked)
    assert cast.read(cast.doctor) is None
    assert broken(cast, now=NOW + DAY)


def test_the_patient_is_told_until_they_have_read_it(cast: Cast) -> None:
    made = broken(cast)
    assert emergencies.unseen_by(cast.alice) == [made]
    other = make_patient(national_id="AB1234", now=NOW, username="other")
    assert other.user is not None
    assert not emergencies.mark_seen(patient=other, actor=other.user, emergency_id=made.pk, outcome="", now=NOW)
    assert emergencies.mark_seen(patient=cast.alice, actor=cast.user, emergency_id=made.pk, outcome="", now=NOW)
    assert emergencies.unseen_by(cast.alice) == []
    assert emergencies.of(cast.alice) == [made]


def test_a_patient_with_an_address_is_told_by_mail_once_without_health_content(cast: Cast) -> None:
    broken(cast)
    broken(cast, national_id="AB1234")
    assert emergencies.tell_by_mail(now=NOW) == 0
    Patient.objects.update(email="alice@example.org")
    assert emergencies.is_anyone_to_tell(now=NOW)
    assert [emergencies.tell_by_mail(now=NOW) for _ in range(2)] == [1, 0]
    (letter,) = mail.outbox
    assert letter.to == ["alice@example.org"]
    said = letter.subject + letter.body
    for secret in (REASON, "Gatera", "Ruhengeri", NUMBER, "Claudine", "Uwimana"):
        assert secret not in said


def test_mail_that_could_not_be_sent_is_tried_again(cast: Cast, settings: Any) -> None:
    broken(cast)
    Patient.objects.update(email="alice@example.org")
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1  # nobody listens there
    assert emergencies.tell_by_mail(now=NOW) == 0
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    assert emergencies.tell_by_mail(now=NOW) == 1


def test_without_a_mail_server_nobody_is_said_to_have_been_written_to(cast: Cast, settings: Any) -> None:
    broken(cast)
    Patient.objects.update(email="alice@example.org")
    settings.EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
    assert not emergencies.is_anyone_to_tell(now=NOW)


def test_an_emergency_is_reviewed_by_somebody_else(cast: Cast) -> None:
    made = broken(cast)
    with pytest.raises(AccessRefused):
        emergencies.review(emergency=made, actor=cast.doctor, outcome="justified", note="", now=NOW)
    with pytest.raises(AccessRefused):
        emergencies.review(emergency=made, actor=cast.admin, outcome="perhaps", note="", now=NOW)
    emergencies.review(emergency=made, actor=cast.admin, outcome="not_justified", note="no such patient", now=NOW)
    made.refresh_from_db()
    assert (made.reviewed_by, made.reviewed_at, made.outcome) == (cast.admin, NOW, "not_justified")
    event = AuditEvent.objects.get(action="break_glass_reviewed")
    assert (event.actor_id, event.patient_id, event.basis) == (cast.admin.pk, cast.alice.pk, "not_justified")


# --- claims -----------------------------------------------------------------------------------------------------------


def placeholders(cast: Cast, n: int = 2) -> list[Doctor]:
    return [
        Doctor.objects.create(hospital=cast.hospital, provider_uuid=str(uuid4()), name=f"Dr {i}", created_at=NOW)
        for i in range(n)
    ]


def test_an_account_claims_several_rows_and_gives_them_back(cast: Cast) -> None:
    rows = placeholders(cast)
    assert claims.claim(rows=rows, account=cast.doctor, actor=cast.admin, now=NOW) == 2
    assert claims.claim(rows=rows, account=cast.doctor, actor=cast.admin, now=NOW) == 0
    assert Doctor.objects.filter(user=cast.doctor).count() == 2
    assert claims.undo_claim(row=rows[0], actor=cast.admin, now=NOW)
    assert not claims.undo_claim(row=rows[0], actor=cast.admin, now=NOW)
    assert Doctor.objects.filter(user=cast.doctor).count() == 1
    assert actions() == ["claim_made", "claim_made", "claim_undone"]
    event = AuditEvent.objects.get(action="claim_undone")
    assert event.details == {"doctor": str(rows[0].pk), "account": str(cast.doctor.pk)}


def test_a_claimed_row_is_not_taken_from_its_doctor_and_nothing_of_the_try_stays(cast: Cast) -> None:
    rows = sorted(placeholders(cast), key=lambda row: str(row.pk))
    other = make_account(username="other", role="doctor", hospital=cast.hospital)
    claims.claim(rows=rows[1:], account=other, actor=cast.admin, now=NOW)
    with pytest.raises(AccessRefused):
        claims.claim(rows=rows, account=cast.doctor, actor=cast.admin, now=NOW)
    assert not Doctor.objects.filter(user=cast.doctor).exists()
    assert actions() == ["claim_made"]


@pytest.mark.parametrize("fields", [{"role": "patient"}, {"role": "admin"}, {"is_active": False}])
def test_only_an_active_doctors_account_claims(cast: Cast, fields: dict[str, Any]) -> None:
    for name, value in fields.items():
        setattr(cast.doctor, name, value)
    with pytest.raises(AccessRefused):
        claims.claim(rows=placeholders(cast), account=cast.doctor, actor=cast.admin, now=NOW)


# --- the table of sensitive concepts ----------------------------------------------------------------------------------


def test_the_table_goes_out_and_comes_back_unchanged(cast: Cast) -> None:
    SensitiveConcept.objects.create(sensitive_set="hiv", source="=cmd", code="-1", name='"odd", name')
    text = sensitive.export_sheet()
    before = SensitiveConcept.objects.count()
    done = sensitive.import_sheet(text, actor=cast.admin, now=NOW)
    assert (done.n_added, done.n_unchanged, done.refused) == (0, before, ())
    SensitiveConcept.objects.all().delete()
    assert sensitive.import_sheet(f"\ufeff{text}", actor=cast.admin, now=NOW).n_added == before
    assert sensitive.export_sheet() == text


@pytest.mark.parametrize(
    "line",
    [
        "hiv,uuid,CIEL,1,both",
        "hiv,,,,none",
        "hiv,,CIEL,,half",
        "malaria,uuid,,,no such set",
        f"hiv,{'x' * 39},,,too long",
        "hiv,uuid",
        "hiv,uuid,,,a,b",
    ],
)
def test_a_line_that_cannot_be_meant_is_named_and_left_out(cast: Cast, line: str) -> None:
    before = SensitiveConcept.objects.count()
    text = f"set,concept_uuid,source,code,name\n{line}\nviolence,my-own-uuid,,,ours\n"
    done = sensitive.import_sheet(text, actor=cast.admin, now=NOW)
    assert [each.line for each in done.refused] == [2]
    assert SensitiveConcept.objects.count() == before + 1


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", 'set,concept_uuid,source,code,name\nhiv,"open'])
def test_a_file_that_is_none_of_ours_changes_nothing(cast: Cast, text: str) -> None:
    before = SensitiveConcept.objects.count()
    assert sensitive.import_sheet(text, actor=cast.admin, now=NOW).refused
    assert SensitiveConcept.objects.count() == before
