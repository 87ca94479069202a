"""Every page in Chromium for everybody who may open it: what axe finds, what is too wide, what is too small to press.

The pages are those of the table of roles (`tests/security/matrix.py`): one that is new there is walked here by itself.
"""

import re
from collections import defaultdict
from typing import Any

import pytest
from django.conf import settings
from playwright.sync_api import Page

from tests.browser.conftest import OpenPage
from tests.browser.faults import faults
from tests.security import matrix
from tests.security.matrix import ACTORS, World
from tests.security.test_matrix import ADMIN_PAGES, admin_address, is_stock

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(900), pytest.mark.slow]

#: Pages that nobody sees by opening their address alone, and where they are looked at instead.
ONLY_AFTER_SOMETHING = {
    "log-in/code/": "a password was given: test_doors",
    "log-in/set-up/": "a password was given: test_doors",
    "claim/password/": "a code from the desk was given: test_doors",
    "account/codes/renew/": "one-time codes were set up: test_doors",
    "share/<share_id>/": "a link was just made: test_doors",
    "reset/<account_id>/<token>/": "leads to reset/",
    "account/address/<secret>/": "leads to the account",
    "emergency/<emergency_id>/record/": "leads to the record",
    "s/<token>/file/<ticket>/": "a sealed file",
    "favicon.ico": "a picture",
}
#: The page of a link that is closed says so with this status.
SEEN = {200, 410}
#: Whose look at a page differs from the others' by more than a line: who opened it in an emergency reads the doctor's.
LOOKERS = ("anonymous", "own", "other", "carer", "relation", "admin")
IN_AN_EMERGENCY = ("emergency/<emergency_id>/", "patients/<patient_id>/", "patients/<patient_id>/consultation/")
#: For programs; api/docs/ is the page of Swagger UI, as it comes.
FOR_PROGRAMS = ("api/", "health/", "metrics")


def lookers(template: str) -> list[str]:
    """Who walks there: everybody who sees something else there."""
    statuses = matrix.expected()[template].get("GET", ())
    seen = [actor for actor, status in zip(ACTORS, statuses, strict=False) if status in SEEN]
    if len(seen) > 5:  # the same for whoever is logged in
        seen = seen[:2]
    if template.startswith("patients/<patient_id>/") and "stranger" not in seen and template.count("/") == 2:
        seen.append("stranger")  # a refusal is one page, whatever is refused
    return [actor for actor in seen if actor in (*LOOKERS, "stranger") or template in IN_AN_EMERGENCY]


def of_the_site() -> list[str]:
    return [template for template in matrix.expected() if not template.startswith(FOR_PROGRAMS)]


def of_admin() -> list[str]:
    """Every page of admin that an admin can open, Django's own among them."""
    return [
        template
        for template in matrix.templates()
        if ADMIN_PAGES.get(template, (0, 0))[0] == 200 or (is_stock(template) and not template.endswith("<object_id>/"))
    ]


def walk(page: Page, visits: list[tuple[str, str]], *, is_ours: bool) -> dict[str, list[str]]:
    """What is wrong → where. `visits`: template and address."""
    wrong: dict[str, list[str]] = defaultdict(list)
    for template, address in visits:
        if re.search(r"\.csv$|<kind>$|export/$|download/<|/part/$", template):
            continue  # a file, or a part of a page
        answer = page.goto(address)
        if answer and answer.status in SEEN and answer.headers.get("content-type", "").startswith("text/html"):
            for fault in faults(page, is_ours=is_ours):
                wrong[fault].append(template)
    return wrong


def told(wrong: dict[str, list[str]]) -> str:
    return "\n".join(f"{fault}  ({len(pages)} pages: /{pages[0]} …)" for fault, pages in wrong.items())


def enter(page: Page, world: World, actor: str, base: str) -> None:
    if actor in world.sessions:
        name = settings.SESSION_COOKIE_NAME
        page.context.add_cookies([{"name": name, "value": world.sessions[actor], "url": base}])


@pytest.fixture
def world(transactional_db: None, settings: Any) -> World:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    return matrix.build()


@pytest.mark.parametrize("actor", [*LOOKERS, "emergency", "stranger"])
def test_every_page_of_the_site_meets_wcag_and_fits_the_smallest_phone(
    actor: str, open_page: OpenPage, world: World, live_server: Any
) -> None:
    page = open_page()
    enter(page, world, actor, live_server.url)
    visits = [(template, world.address(template)) for template in of_the_site() if actor in lookers(template)]
    assert visits
    wrong = walk(page, visits, is_ours=True)
    assert not wrong, told(wrong)


def test_every_page_of_admin_meets_wcag_and_fits_the_smallest_phone(
    open_page: OpenPage, world: World, live_server: Any
) -> None:
    page = open_page()
    enter(page, world, "admin", live_server.url)
    wrong = walk(page, [(template, admin_address(world, template)) for template in of_admin()], is_ours=False)
    assert not wrong, told(wrong)


def test_no_page_is_left_out_without_a_reason() -> None:
    """A new address is walked by itself; one that shows nothing by its address alone has its reason above."""
    left_out = {one for one in of_the_site() if "GET" in matrix.expected()[one] and not lookers(one)}
    assert left_out == set(ONLY_AFTER_SOMETHING)
    assert len(of_admin()) > 80
