"""Mark-up in everything that hospitals, patients and admins may write, on every page, in a real browser: nothing of it
runs, and the browser has nothing to complain about.
"""

import csv
import datetime as dt
import re
import zlib
from collections.abc import Iterator
from contextlib import suppress
from io import StringIO
from typing import Any
from xml.etree import ElementTree

import pytest
from django.conf import settings
from django.utils import timezone
from playwright.sync_api import Page, expect

from hospitals.models import Hospital, Location
from passport.models import Doctor, Link, Patient, Record, User
from passport.sharing import content, links, shares
from passport.views import printing
from tests.chromium import DESKTOP, OpenPage
from tests.records import own_scope
from tests.security import matrix
from tests.security.matrix import World
from tests.security.test_matrix import ADMIN_PAGES, EXPECTED, admin_address, is_stock

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(600),
    pytest.mark.slow,
    pytest.mark.browser,
]

PAYLOAD = (
    """"><img src=x onerror=alert(1)><script>alert(1)</script><svg onload=alert(1)>'{{7|add:7}}javascript:alert(1)"""
)
NO_PAGES = ("api/", "health/", "metrics/")
#: A file, not a page: Chromium would save it.
FILES = ("<kind>", "changed/", "download/<download_id>/")
#: What runs, or would if the policy did not hold it back.
#: One script of JSON is data of ours, which no browser runs.
INTRUDERS = (
    'img[src="x"], script:not([src]):not(#codes[type="application/json"]), svg[onload], [onerror],'
    ' [href^="javascript:"], [src^="javascript:"]'
)


@pytest.fixture
def world(transactional_db: None, settings: Any) -> World:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    world = matrix.build()
    Record.objects.update(
        concept=PAYLOAD, value=PAYLOAD, unit=PAYLOAD, provider=PAYLOAD, location=PAYLOAD, certainty=PAYLOAD
    )
    Record.objects.filter(table="orders").update(
        details={"dose": PAYLOAD, "route": PAYLOAD, "instructions": PAYLOAD, "frequency": PAYLOAD}
    )
    Patient.objects.update(given_name=PAYLOAD, family_name=PAYLOAD, email=PAYLOAD, phone=PAYLOAD)
    Hospital.objects.update(name=PAYLOAD)
    Location.objects.update(name=PAYLOAD)
    Doctor.objects.update(name=PAYLOAD)
    Link.objects.update(reason=PAYLOAD)
    User.objects.update(first_name=PAYLOAD, last_name=PAYLOAD, email=PAYLOAD, phone=PAYLOAD)
    User.objects.filter(pk=world.people["other"].pk).update(username=PAYLOAD)
    return world


def pages_of(actor: str, world: World) -> Iterator[str]:
    column = matrix.ACTORS.index(actor)
    for template, row in EXPECTED.items():
        is_page = not template.startswith(NO_PAGES) and not template.endswith(FILES)
        if is_page and "GET" in row and row["GET"][column] == 200:
            yield world.address(template)
    if actor == "own":
        yield "/print/?what=history&with_hidden=on"
    if actor == "admin":
        for template in sorted(matrix.templates()):
            is_one = is_stock(template) or ADMIN_PAGES.get(template, (0, 0))[0] == 200
            if is_one and not re.search(r"export|csv|jsi18n|version|/part/", template):
                yield admin_address(world, template)


def watched(open_page: OpenPage) -> tuple[Page, list[str]]:
    """A page, and the dialogs that it opens; `open_page` itself takes note of what the policy held back."""
    page = open_page(viewport=DESKTOP)
    dialogs: list[str] = []
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    return page, dialogs


def enter(page: Page, world: World, actor: str) -> None:
    url = page.evaluate("location.origin")
    page.context.add_cookies(
        [{"name": settings.SESSION_COOKIE_NAME, "value": world.sessions[actor], "url": url, "httpOnly": True}]
    )


@pytest.mark.parametrize("actor", ["own", "carer", "relation", "emergency", "admin"])
def test_nothing_that_was_written_runs_on_any_page(actor: str, open_page: OpenPage, world: World) -> None:
    page, dialogs = watched(open_page)
    page.goto("/logged-out/")
    enter(page, world, actor)
    n_shown = 0
    for address in pages_of(actor, world):
        page.goto(address)
        assert page.locator(INTRUDERS).count() == 0, address
        n_shown += "onerror=alert(1)" in page.locator("body").inner_text()
    assert dialogs == []
    assert n_shown >= 3, "the mark-up is on no page: this test proves nothing"


def test_nothing_that_was_written_runs_where_a_share_is_opened(open_page: OpenPage, world: World) -> None:
    """That page is put together by a script, from the unlocked summary."""
    now = timezone.now()
    made = shares.make_share(
        patient=world.alice, actor=world.people["own"], wish=content.Wish(), ends_at=now + dt.timedelta(days=1), now=now
    )
    page, dialogs = watched(open_page)
    page.goto("/logged-out/")
    address = f"{page.evaluate('location.origin')}/s/{made.share.token}/"
    page.goto(links.link_to(made.share, page=address, manifest=f"{address}manifest/"))
    page.get_by_label("Your name and where you work").fill(PAYLOAD[:100])
    page.get_by_label("Passcode").fill(made.passcode)
    page.get_by_role("button", name="Open the summary").click()
    expect(page.get_by_text("onerror=alert(1)").first).to_be_visible()
    assert page.locator(INTRUDERS).count() == 0
    assert dialogs == []


def test_what_was_written_stays_text_in_the_narrative_of_a_summary(world: World) -> None:
    """Whoever imports a FHIR document shows its `text.div` as it is."""
    bundle = world.ask("own", "GET", "/api/me/fhir/").json()
    divs = [text for text in _strings(bundle) if text.lstrip().startswith("<div")]
    assert divs
    assert any("onerror=alert(1)" in text for text in divs)
    for text in divs:
        tags = {element.tag.rpartition("}")[2] for element in ElementTree.fromstring(text).iter()}  # noqa: S314 - ours
        attributes = {name for element in ElementTree.fromstring(text).iter() for name in element.attrib}  # noqa: S314
        assert tags <= {
            "div",
            "p",
            "ul",
            "li",
            "b",
            "table",
            "thead",
            "tbody",
            "tr",
            "th",
            "td",
            "h1",
            "h2",
            "h3",
            "br",
        }
        assert attributes <= {"class", "lang", "{http://www.w3.org/XML/1998/namespace}lang"}


def test_a_pdf_holds_what_was_written_as_text_and_nothing_that_acts(world: World) -> None:
    for what in ("summary", "history"):
        html = printing.paper_html(own_scope(world.alice), what=what, now=timezone.now())
        assert "&lt;script&gt;alert(1)" in html
        assert not re.search(r"<(script|img|svg|a|link|object|iframe)\b", html)
        answer = world.ask("own", "GET", f"/print/?as=pdf&what={what}")
        assert answer["Content-Type"] == "application/pdf"
        inside = b"".join(_inflated(answer.content))
        assert b"/Font" in inside
        assert [word for word in (b"/JavaScript", b"/JS", b"/Launch", b"/OpenAction", b"/URI") if word in inside] == []


def _inflated(made: bytes) -> Iterator[bytes]:
    """The document as it is, and its packed parts unpacked."""
    yield made
    for packed in re.findall(rb"stream\r?\n(.*?)\r?\nendstream", made, re.DOTALL):
        with suppress(zlib.error):
            yield zlib.decompressobj().decompress(packed)


FORMULA = "=HYPERLINK(1)"


def test_no_file_of_ours_holds_a_formula(world: World) -> None:
    """CSV injection by what hospitals, patients and admins may write, in every CSV that there is."""
    Record.objects.update(concept=FORMULA, value=f"+{FORMULA}", unit=FORMULA, provider=f"@{FORMULA}", location=FORMULA)
    Hospital.objects.update(name=FORMULA)
    Doctor.objects.update(name=FORMULA)
    User.objects.update(first_name=FORMULA, last_name=f"-{FORMULA}")
    wanted, n_found = {f"{template}" for template in matrix.templates() if re.search(r"csv|<kind>", template)}, 0
    for template in sorted(wanted):
        actor = "admin" if template.startswith(("admin/", "patients/")) else "own"
        address = admin_address(world, template) if template.startswith("admin/") else world.address(template)
        answer = world.ask(actor, "GET", address)
        if answer.status_code == 503:  # read at the hospital, which answers nobody here
            continue
        assert answer.status_code == 200, template
        cells = [cell for row in csv.reader(StringIO(matrix.body_of(answer))) for cell in row]
        n_found += sum("HYPERLINK" in cell for cell in cells)
        assert [cell for cell in cells if cell.lstrip()[:1] in {"=", "+", "-", "@"} and len(cell) > 1] == [], template
    assert n_found, "the formula is in no file: this test proves nothing"


def _strings(found: Any) -> Iterator[str]:
    if isinstance(found, str):
        yield found
    elif isinstance(found, dict | list):
        for each in found.values() if isinstance(found, dict) else found:
            yield from _strings(each)
