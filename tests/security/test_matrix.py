"""Every address and method for everybody. A new address without a row in the table fails, until somebody says who may.

What is refused says no word of the record, is the same for what is unknown, and changes nothing; and every answer of
the walk carries every security header.
"""

import re
from collections.abc import Iterator
from hashlib import sha256
from typing import Any
from uuid import uuid4

import pytest
from django.apps import apps
from django.contrib import admin
from django.db import connection
from django.test import RequestFactory

from passport.middleware import CONTENT_SECURITY_POLICY
from tests.security import matrix
from tests.security.matrix import ACTORS, GONE, PERSON_MARKS, READERS, RECORD_MARKS, UNSAFE, World, body_of, undone

pytestmark = [pytest.mark.django_db, pytest.mark.timeout(900)]

EXPECTED = matrix.expected()
NO_RIGHT = {"anonymous", "other", "stranger", *GONE}
#: What a refused request may leave behind: that it was tried, and by whom.
TRACES = {
    "passport.AuditEvent",
    "passport.AuditHead",
    "passport.Attempts",
    "passport.Entry",
    "sessions.Session",
}
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}
#: The address of a shared link is a secret: it goes nowhere at all.
OTHER_HEADERS = {"GET s/<token>/": {"Referrer-Policy": "no-referrer"}}
#: Programs of others post here; there is no session that could be ridden on.
WITHOUT_FORM = {"s/<token>/manifest/", "n/<notice>/"}
#: Bodies without which an address does what a test cannot take back: ask the hospitals over the network.
BODIES = {"api/openmrs-sync/initialize/": '{"hospitals": []}'}

#: Pages of admin beyond Django's own five of each model: address → (GET, POST) for an admin, who sends an
#: empty form: one that names nothing to be done is refused by some. Everybody else is at the door: 302.
ADMIN_PAGES: dict[str, tuple[int, int]] = {
    "admin/": (200, 200),
    "admin/<app_label>/": (200, 200),
    "admin/<url>/": (404, 404),
    "admin/autocomplete/": (403, 405),
    "admin/jsi18n/": (200, 405),
    "admin/logout/": (405, 302),
    "admin/r/<content_type_id>/<object_id>/": (404, 404),
    "admin/openmrs_sync/controlstate/": (302, 302),
    "admin/openmrs_sync/controlstate/do/<verb>/": (405, 302),
    "admin/openmrs_sync/inspection/<object_id>/change/": (302, 302),
    "admin/openmrs_sync/controlstate/part/": (200, 405),
    "admin/openmrs_sync/syncrun/<run_id>/part/": (200, 405),
    "admin/openmrs_sync/conceptrule/workbench/": (200, 405),
    "admin/openmrs_sync/conceptrule/workbench/count/": (405, 302),
    "admin/openmrs_sync/conceptrule/workbench/decide/": (302, 302),
    "admin/openmrs_sync/conceptrule/workbench/import/": (200, 200),
    "admin/openmrs_sync/conceptrule/workbench/undo/": (405, 404),
    "admin/openmrs_sync/conceptrule/workbench/rules.csv": (200, 405),
    "admin/openmrs_sync/conceptrule/workbench/version/": (200, 405),
    "admin/hospitals/hospital/<hospital_id>/not-linked/": (200, 405),
    # What is asked of the hospital's own database, which answers nobody here.
    "admin/hospitals/hospital/<hospital_id>/not-linked.csv": (503, 405),
    "admin/hospitals/hospital/<hospital_id>/going-live/": (200, 403),
    "admin/hospitals/hospital/<object_id>/do/<verb>/": (405, 302),
    "admin/otp_totp/totpdevice/<pk>/config/": (403, 403),
    "admin/otp_totp/totpdevice/<pk>/qrcode/": (403, 403),
    "admin/passport/user/<id>/password/": (200, 200),
    "admin/passport/glossaryterm/export/": (200, 200),
    "admin/passport/glossaryterm/import/": (200, 200),
    "admin/passport/sensitiveconcept/export/": (200, 200),
    "admin/passport/sensitiveconcept/import/": (200, 200),
    "admin/passport/patient/<patient_id>/standing/": (200, 404),
    "admin/passport/link/<link_id>/decide/": (405, 302),
    "admin/passport/link/<link_id>/undo/<decision_id>/": (405, 404),
    "admin/openmrs_sync/parkedrow/replay/": (405, 302),
    "admin/openmrs_sync/parkedrow/<row_id>/replay/": (405, 302),
    "admin/openmrs_sync/receiptday/<hospital_id>/": (200, 405),
    "admin/openmrs_sync/receiptday/<hospital_id>/verify/": (405, 302),
    "admin/openmrs_sync/receiptday/<hospital_id>/version/": (200, 405),
    "admin/openmrs_sync/receiptday/<hospital_id>/certificate.csv": (200, 405),
    "admin/openmrs_sync/inspection/dry-run/<hospital_id>/": (200, 403),
    "admin/openmrs_sync/inspection/dry-run/<hospital_id>/version/": (200, 405),
}
#: Ours take their place, for everybody.
ADMIN_DOORS: dict[str, tuple[int, int]] = {
    "admin/login/": (302, 302),
    "admin/password_change/": (302, 302),
    "admin/password_change/done/": (302, 302),
}
#: Django's own pages of a model; which of them an admin gets, the model's permissions say.
STOCK = re.compile(r"admin/(\w+)/(\w+)/(|add/|<object_id>/|<object_id>/(?:change|delete|history)/)")


@pytest.fixture
def world(settings: Any) -> World:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    return matrix.build()


def is_stock(template: str) -> bool:
    found = STOCK.fullmatch(template)
    models = {(model._meta.app_label, model._meta.model_name) for model in admin.site._registry}
    return bool(found and found.group(1, 2) in models) and template not in ADMIN_PAGES


def test_every_address_falls_under_exactly_one_rule() -> None:
    """T58: the table of roles is complete by construction."""
    falls = {
        one: [one in EXPECTED, one in ADMIN_PAGES, one in ADMIN_DOORS, is_stock(one)] for one in matrix.templates()
    }
    assert [one for one, rules in falls.items() if sum(rules) != 1] == []
    assert sorted({*EXPECTED, *ADMIN_PAGES, *ADMIN_DOORS} - set(falls)) == []


def test_every_model_of_the_admin_has_a_row_to_be_tried(world: World) -> None:
    known = {f"{model._meta.app_label}_{model._meta.model_name}" for model in admin.site._registry}
    assert known == set(world.rows)


def statuses(template: str, method: str) -> tuple[int, ...]:
    row = EXPECTED[template]
    return row.get(method) or row.get("else") or matrix.NOBODY_MAY


def try_cell(world: World, actor: str, method: str, template: str, status: int) -> Iterator[str]:
    """What is wrong with one answer: the status, a word of the record, a missing header."""
    with undone():
        data = BODIES.get(template, "") if method == "POST" else ""
        answer = world.ask(actor, method, world.address(template), data=data)
        cell = f"{method} /{template} as {actor}"
        if answer.status_code != status:
            yield f"{cell}: {answer.status_code}, not {status}"
        shown = body_of(answer) + str(answer.headers)
        marks = [] if actor in READERS else [*RECORD_MARKS, *(() if actor == "admin" else PERSON_MARKS)]
        yield from (f"{cell}: says {mark}" for mark in marks if mark in shown)
        yield from (
            f"{cell}: {name} is {answer.headers.get(name)}" for name, value in HEADERS.items()
            if answer.headers.get(name) != OTHER_HEADERS.get(f"{method} {template}", {}).get(name, value)
        )  # fmt: skip


@pytest.mark.parametrize("method", ["GET", pytest.param("POST", marks=pytest.mark.slow)])
def test_each_actor_gets_what_the_table_says_of_each_address(world: World, method: str) -> None:
    """T58"""
    wrong: list[str] = []
    for template in EXPECTED:
        for actor, status in zip(ACTORS, statuses(template, method), strict=True):
            wrong += try_cell(world, actor, method, template, status)
    assert not wrong, "\n".join(wrong)


def test_a_closed_account_is_answered_like_nobody(world: World) -> None:
    wrong: list[str] = []
    for template in EXPECTED:
        for actor in GONE:
            wrong += try_cell(world, actor, "GET", template, statuses(template, "GET")[0])
    assert not wrong, "\n".join(wrong)


@pytest.mark.slow
def test_a_closed_account_sends_like_nobody_and_no_method_is_left_open(world: World) -> None:
    wrong: list[str] = []
    for template in EXPECTED:
        for actor in GONE:
            wrong += try_cell(world, actor, "POST", template, statuses(template, "POST")[0])
        for method in ("PUT", "PATCH", "DELETE"):
            for actor, status in zip(ACTORS, statuses(template, method), strict=True):
                wrong += try_cell(world, actor, method, template, status)
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_an_address_without_its_slash_is_the_same_address(world: World, method: str) -> None:
    wrong = []
    for template in EXPECTED:
        if template.endswith("/") and template != "api/":
            with undone():
                answer = world.ask("own", method, world.address(template).rstrip("/"))
                body_of(answer)  # which closes the file
            if answer.status_code != statuses(template, "GET")[ACTORS.index("own")]:
                wrong.append(f"/{template}: {answer.status_code}")
    assert wrong == []


# --- admin ------------------------------------------------------------------------------------------------------------


def admin_address(world: World, template: str) -> str:
    app, model = [*template.split("/"), "", ""][1:3]
    values = {
        "object_id": world.rows.get(f"{app}_{model}", uuid4()),
        "verb": "pause" if model == "hospital" else "stop",
        "id": world.people["other"].pk,
        "pk": world.rows["otp_totp_totpdevice"],
        "link_id": world.rows["passport_link"],
        "decision_id": 1,
        "row_id": world.rows["openmrs_sync_parkedrow"],
    }
    return world.address(template, **values)


def status_for_admin(world: World, template: str) -> int:
    """Of one of Django's own pages, by what the model's permissions say."""
    found = STOCK.fullmatch(template)
    assert found is not None
    app, model, page = found.groups()
    model_admin = admin.site._registry[apps.get_model(app, model)]
    request = RequestFactory().get("/")
    request.user = world.people["admin"]
    row = apps.get_model(app, model)._default_manager.get(pk=world.rows[f"{app}_{model}"])
    if page == "<object_id>/":
        return 302
    may = {
        "": model_admin.has_view_or_change_permission(request),
        "add/": model_admin.has_add_permission(request),
        "<object_id>/delete/": model_admin.has_delete_permission(request, row),
    }.get(page, model_admin.has_view_or_change_permission(request, row))
    return 200 if may else 403


def test_only_an_admin_gets_a_page_of_the_admin(world: World) -> None:
    wrong: list[str] = []
    for template in sorted(one for one in matrix.templates() if one in ADMIN_PAGES or is_stock(one)):
        status = ADMIN_PAGES[template][0] if template in ADMIN_PAGES else status_for_admin(world, template)
        cells = {"admin": status, "relation": 302, "gone_admin": 302}
        for actor, wanted in cells.items():
            wrong += try_admin(world, actor, "GET", template, wanted)
    assert not wrong, "\n".join(wrong)


@pytest.mark.slow
def test_nobody_else_sends_anything_to_the_admin(world: World) -> None:
    wrong: list[str] = []
    for template in sorted(one for one in matrix.templates() if one in ADMIN_PAGES or is_stock(one)):
        for actor in sorted({*ACTORS, *GONE} - {"admin"}):
            for method in ("GET", *UNSAFE):
                wrong += try_admin(world, actor, method, template, 302)
        if template in ADMIN_PAGES:
            wrong += try_admin(world, "admin", "POST", template, ADMIN_PAGES[template][1])
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("actor", ["anonymous", "own", "relation", "admin"])
def test_the_doors_of_the_admin_are_the_same_for_all(world: World, actor: str) -> None:
    for template, (get, post) in ADMIN_DOORS.items():
        for method, status in (("GET", get), ("POST", post)):
            with undone():
                assert world.ask(actor, method, f"/{template}").status_code == status, (method, template)


def try_admin(world: World, actor: str, method: str, template: str, status: int) -> Iterator[str]:
    with undone():
        answer = world.ask(actor, method, admin_address(world, template))
        cell = f"{method} /{template} as {actor}"
        if answer.status_code != status:
            yield f"{cell}: {answer.status_code}, not {status}"
        if actor != "admin" and not answer.headers.get("Location", "").startswith("/admin/"):
            yield f"{cell}: leads to {answer.headers.get('Location')}"
        shown = body_of(answer)
        yield from (f"{cell}: says {mark}" for mark in RECORD_MARKS if mark in shown)
        yield from (
            f"{cell}: {name} is {answer.headers.get(name)}"
            for name, value in HEADERS.items()
            if answer.headers.get(name) != value
            and not (name == "Cache-Control" and "no-store" in answer.headers[name])
        )


# --- nothing is changed, and nothing is told --------------------------------------------------------------------------


def everything_stored() -> dict[str, str]:
    """model → a digest of all its rows, but for the traces of a try."""
    found = {}
    with connection.cursor() as cursor:
        for model in apps.get_models(include_auto_created=True):
            if model._meta.label not in TRACES:
                cursor.execute(f'SELECT * FROM "{model._meta.db_table}"')
                rows = sorted(repr(row) for row in cursor.fetchall())
                found[model._meta.label] = sha256("\n".join(rows).encode()).hexdigest()
    return found


def changes(world: World, actor: str, method: str, address: str, before: dict[str, str], **options: Any) -> list[str]:
    """The models of which a request changed a row."""
    with undone():
        world.ask(actor, method, address, **options)
        after = everything_stored()
    return [label for label in before if before[label] != after[label]]


#: What one who has a right changes by an empty form, so that the test below is known to look.
OWN_CHANGES = {
    "permissions/let-in/<grant_id>/end/": ["passport.AccessGrant"],
    "permissions/carers/<proxy_id>/end/": ["passport.Proxy"],
    "permissions/emergencies/<emergency_id>/seen/": ["passport.EmergencyAccess"],
    "hidden/<hide_id>/end/": ["passport.Hide"],
    "share/<share_id>/end/": ["passport.Share"],
}


@pytest.mark.parametrize("template", OWN_CHANGES)
def test_what_is_the_patients_is_changed_by_the_patient_alone(world: World, template: str) -> None:
    address, before = world.address(template), everything_stored()
    assert changes(world, "own", "POST", address, before) == OWN_CHANGES[template]
    others = NO_RIGHT | {"relation", "emergency"}
    assert [actor for actor in sorted(others) if changes(world, actor, "POST", address, before)] == []


def test_a_refused_request_changes_nothing(world: World) -> None:
    wrong, before = [], everything_stored()
    for template, row in EXPECTED.items():
        for actor, status in zip(ACTORS, row.get("POST", ()), strict=False):
            if status >= 400 or (actor in {"anonymous", "other"} and "<" in template):
                changed = changes(world, actor, "POST", world.address(template), before, data=BODIES.get(template, ""))
                wrong += [f"POST /{template} as {actor} changed {changed}"] if changed else []
    assert wrong == []


def test_a_page_that_takes_a_form_asks_for_its_token(world: World) -> None:
    """Sent from another site, with the session's cookie and without the form's token."""
    wrong = []
    pages = [
        one for one, row in EXPECTED.items() if "POST" in row and not one.startswith("api/") and one not in WITHOUT_FORM
    ]
    pages += [one for one, statuses in ADMIN_PAGES.items() if statuses[1] != 405]
    for template in pages:
        for actor in ("own", "relation", "admin"):
            address = admin_address(world, template) if template.startswith("admin/") else world.address(template)
            with undone():
                answer = world.ask(actor, "POST", address, csrf=True)
            # Refused by the middleware: no view was called.
            if answer.status_code != 403 or b"This form has expired" not in answer.content:
                wrong.append(f"/{template} as {actor}: {answer.status_code}")
    assert wrong == []


def test_a_session_of_the_pages_is_no_token_of_the_api(world: World) -> None:
    """So no other site can have a browser call the API: it has no cookies."""
    wrong = []
    for template, row in EXPECTED.items():
        if template.startswith("api/"):
            for method, cells in row.items():
                if cells[0] == 401 and method != "else":
                    with undone():
                        answer = world.ask("own", method, world.address(template), headers={})
                    wrong += [] if answer.status_code == 401 else [f"{method} /{template}: {answer.status_code}"]
    assert wrong == []


#: address → what else it is asked for, that nobody has
UNKNOWN = {
    "patient_id": uuid4(),
    "national_id": matrix.UNKNOWN_NUMBER,
    "key": "9-1-obs-999999",
    "grant_id": uuid4(),
    "hide_id": uuid4(),
    "proxy_id": uuid4(),
    "emergency_id": uuid4(),
    "download_id": uuid4(),
    "share_id": uuid4(),
    "token": "A" * 43,
}


def told(answer: Any) -> tuple[int, dict[str, str], str]:
    """What an answer says, without its form's token and the page's own address."""
    text = body_of(answer)
    lines = [line for line in text.splitlines() if "csrfmiddlewaretoken" not in line and 'name="next"' not in line]
    headers = {name: value for name, value in answer.headers.items() if name not in {"Content-Length", "Set-Cookie"}}
    return answer.status_code, headers, "\n".join(lines)


@pytest.mark.parametrize("actor", ["anonymous", "other", "stranger", "gone_doctor"])
def test_what_one_may_not_see_is_answered_like_what_is_not_there(world: World, actor: str) -> None:
    """IDOR: Alice's ids tell a stranger no more than ids that nobody has."""
    wrong = []
    for template, row in EXPECTED.items():
        names = [name for name in UNKNOWN if f"<{name}>" in template]
        for method in ("GET", "POST") if names else ():
            if method in row and "emergency/" not in template:
                with undone():
                    known = told(world.ask(actor, method, world.address(template)))
                with undone():
                    unknown = told(world.ask(actor, method, world.address(template, **{n: UNKNOWN[n] for n in names})))
                hers = {name: str(world.values[name]) for name in names}
                plain = [repr(each) for each in (known, unknown)]
                for name in names:
                    plain = [text.replace(hers[name], "…").replace(str(UNKNOWN[name]), "…") for text in plain]
                wrong += [] if plain[0] == plain[1] else [f"{method} /{template}: {plain}"]
    assert not wrong, "\n".join(wrong)
