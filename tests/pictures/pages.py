"""Which pages are pictured, for whom, and what is pressed before. `docs` says which looks the repository keeps."""

from collections.abc import Callable
from dataclasses import dataclass, field

from playwright.sync_api import Page

from tests.pictures.looks import DARK, DESKTOP, PHONE, Look

Steps = Callable[[Page, "Stage"], None]
ADMIN_EVERY = (PHONE, DESKTOP, DARK)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """The demo's people and places, by which pages are found."""

    national_id: str  # of the first patient
    doctor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One page. `who` is a role of the demo's logins, `patient-2`, or nobody.

    `address` is opened first, then `steps` are taken. `kept` are the looks that stand in docs/screenshots/;
    on a phone from `top` (a selector) downward.
    """

    name: str
    who: str
    address: str = "/"
    steps: Steps | None = None
    kept: tuple[Look, ...] = ()
    top: str = ""
    status: int = 200
    looks: tuple[Look, ...] = field(default=(PHONE, DESKTOP, DARK))


def follow(selector: str) -> Steps:
    """The first link there."""
    return lambda page, _stage: page.locator(selector).first.click()


def unfold(page: Page, _stage: Stage) -> None:
    page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true; })")


def find(page: Page, stage: Stage) -> None:
    page.get_by_label("National ID").fill(stage.national_id)
    page.get_by_role("button", name="Open the record").click()


def consult(page: Page, stage: Stage) -> None:
    find(page, stage)
    page.get_by_role("link", name="Consultation").click()


def ask_hospitals(page: Page, stage: Stage) -> None:
    consult(page, stage)
    page.get_by_role("button", name="Read afresh from all hospitals").click()
    page.get_by_text("Asked:").wait_for(timeout=40_000)


def refuse(page: Page, _stage: Stage) -> None:
    page.get_by_label("National ID").fill("1199080000000000")
    page.get_by_role("button", name="Open the record").click()


def make_share(page: Page, _stage: Stage) -> None:
    page.locator("main form[action='/share/'] button[type=submit]").last.click()
    page.get_by_role("heading", name="2. The passcode").wait_for()


def open_share(page: Page, stage: Stage) -> None:
    make_share(page, stage)
    link, passcode = page.locator(".share-link").inner_text(), page.locator(".big-code").inner_text()
    page.goto(link)
    page.get_by_label("Your name and where you work").fill("Dr Mugisha, Nairobi")
    page.get_by_label("Passcode").fill(passcode)
    page.get_by_role("button", name="Open the summary").click()
    page.locator("#shared h1").wait_for()


def make_card(page: Page, _stage: Stage) -> None:
    page.locator("form[action='/emergency-card/'] button[type=submit]").click()
    page.locator(".pocket-qr").wait_for()


def invite(page: Page, stage: Stage) -> None:
    unfold(page, stage)
    page.locator("form[action='/permissions/invite/'] input[name$=named]").fill("Ange, my daughter")
    page.get_by_role("button", name="Make a code").click()
    page.locator(".big-code").wait_for()


def go_live(page: Page, stage: Stage) -> None:
    follow("#result_list tbody th a")(page, stage)
    page.wait_for_load_state()
    page.get_by_role("button", name="Test connection").click()
    page.wait_for_load_state()
    page.goto(page.url.split("/change/")[0] + "/going-live/")


def break_glass(page: Page, stage: Stage) -> None:
    page.get_by_label("National ID").fill(stage.national_id)


def wrong_login(page: Page, _stage: Stage) -> None:
    page.get_by_label("Username or National ID").fill("nobody")
    page.get_by_label("Password").fill("nothing")
    page.get_by_role("button", name="Log in").click()


PICTURES = (
    Picture(name="log-in", who="nobody", kept=(PHONE,)),
    Picture(name="log-in-refused", who="nobody", steps=wrong_login),
    Picture(name="claim", who="nobody", address="/claim/"),
    Picture(name="forgotten", who="nobody", address="/forgotten/"),
    Picture(name="reset-ended", who="nobody", address="/reset/", status=410),
    Picture(name="overview", who="patient", kept=(PHONE, DARK, DESKTOP)),
    Picture(name="history", who="patient", address="/history/", kept=(PHONE, DESKTOP)),
    Picture(name="history-filters", who="patient", address="/history/?category=test&flagged=1", steps=unfold),
    Picture(name="history-nothing", who="patient", address="/history/?q=zebra"),
    Picture(
        name="record", who="patient", address="/history/?category=test", steps=follow(".line-name a"), kept=(PHONE,)
    ),
    Picture(name="results", who="patient", address="/results/", kept=(PHONE,)),
    Picture(
        name="trend",
        who="patient",
        address="/results/?q=glucose",
        steps=follow(".results a"),
        kept=(PHONE, DESKTOP),
        top=".trend-head",
    ),
    Picture(name="trend-pressure", who="patient", address="/results/?q=systolic", steps=follow(".results a")),
    Picture(name="medicines", who="patient", address="/medicines/", kept=(PHONE,)),
    Picture(name="share", who="patient", address="/share/"),
    Picture(name="share-made", who="patient", address="/share/", steps=make_share, kept=(PHONE,), top="main h1"),
    Picture(name="share-opened", who="patient", address="/share/", steps=open_share, kept=(PHONE,)),
    Picture(
        name="emergency-card", who="patient", address="/emergency-card/", steps=make_card, kept=(PHONE,), top=".pocket"
    ),
    Picture(name="print", who="patient", address="/print/"),
    Picture(name="download", who="patient", address="/download/"),
    Picture(name="permissions", who="patient", address="/permissions/", kept=(PHONE,)),
    Picture(name="permissions-open", who="patient", address="/permissions/", steps=unfold),
    Picture(name="permissions-invited", who="patient", address="/permissions/", steps=invite),
    Picture(name="hidden", who="patient", address="/hidden/"),
    Picture(name="people", who="patient", address="/people/"),
    Picture(name="account", who="patient", address="/account/"),
    Picture(name="account-codes", who="patient", address="/account/codes/"),
    Picture(name="account-password", who="patient", address="/account/password/"),
    Picture(name="account-logins", who="patient", address="/account/logins/"),
    Picture(name="account-contact", who="patient", address="/account/contact/"),
    Picture(name="refused", who="doctor", address="/patients/00000000-0000-4000-8000-000000000000/", status=403),
    Picture(name="find", who="doctor", address="/patients/"),
    Picture(name="find-refused", who="doctor", address="/patients/", steps=refuse),
    Picture(name="consultation", who="doctor", address="/patients/", steps=consult, kept=(DESKTOP,)),
    Picture(name="consultation-asked", who="doctor", address="/patients/", steps=ask_hospitals),
    Picture(name="doctor-overview", who="doctor", address="/patients/", steps=find),
    Picture(name="emergency", who="doctor", address="/emergency/", steps=break_glass),
    Picture(name="who-looked", who="patient", address="/who-looked/"),
    Picture(name="admin", who="admin", address="/admin/", kept=(DESKTOP,)),
    Picture(name="admin-hospitals", who="admin", address="/admin/hospitals/hospital/"),
    Picture(
        name="admin-hospital",
        who="admin",
        address="/admin/hospitals/hospital/",
        steps=follow("#result_list tbody th a"),
    ),
    Picture(
        name="admin-going-live",
        who="admin",
        address="/admin/hospitals/hospital/",
        steps=go_live,
        kept=(DESKTOP,),
    ),
    Picture(name="admin-certificates", who="admin", address="/admin/openmrs_sync/receiptday/"),
    Picture(name="admin-links", who="admin", address="/admin/passport/link/"),
    Picture(
        name="admin-match",
        who="admin",
        address="/admin/passport/link/?state__exact=held",
        steps=follow("#result_list tbody th a"),
        kept=(DESKTOP,),
    ),
    Picture(name="admin-runs", who="admin", address="/admin/openmrs_sync/syncrun/"),
    Picture(
        name="admin-run",
        who="admin",
        address="/admin/openmrs_sync/syncrun/",
        steps=follow("#result_list tbody th a"),
    ),
    Picture(name="admin-parked", who="admin", address="/admin/openmrs_sync/parkedrow/"),
    Picture(name="admin-alerts", who="admin", address="/admin/openmrs_sync/alert/"),
    Picture(name="admin-accounts", who="admin", address="/admin/passport/user/"),
    Picture(name="admin-patients", who="admin", address="/admin/passport/patient/"),
    Picture(name="admin-glossary", who="admin", address="/admin/passport/glossaryterm/"),
    Picture(name="admin-workbench", who="admin", address="/admin/openmrs_sync/conceptrule/workbench/"),
    Picture(name="admin-audit", who="admin", address="/admin/passport/auditevent/"),
    Picture(name="logged-out", who="nobody", address="/logged-out/"),
)
