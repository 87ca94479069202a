"""Print pages, PDF and the emergency card: what is left out, that nothing is fetched, that text stays text."""

import http.server
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.staticfiles import finders
from django.core.cache import cache
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from passport import history, pdf
from passport.models import Hide, Share, User
from passport.views import printing
from tests.parts import ROOT
from tests.records import (
    Chart,
    fill_district_hospital,
    fill_oddly,
    fill_with_many,
    make_hospital,
    make_patient,
    own_scope,
)

pytestmark = pytest.mark.django_db
VIRAL_LOAD = "856".ljust(36, "A")


class World:
    def __init__(self) -> None:
        self.now = timezone.now()
        self.hospital = make_hospital(name="Kigali District Hospital", code="kigali", now=self.now)
        self.alice = make_patient(national_id="1198180012345678", username="alice", now=self.now)
        self.chart = Chart(patient=self.alice, hospital=self.hospital, now=self.now)

    def fill(self, *fills: Any) -> "World":
        for fill in fills:
            fill(self.chart)
        at = self.chart.moment(1, "10:00:00")
        self.chart.add(concept="Viral load", value="undetectable", at=at, concept_uuid=VIRAL_LOAD)
        self.chart.save()
        return self

    def browser(self) -> Client:
        client = Client()
        client.force_login(User.objects.get(username="alice"))
        return client

    def page(self, name: str, **query: Any) -> str:
        answer = self.browser().get(reverse(name), query)
        assert answer.status_code == 200
        return answer.content.decode()


@pytest.fixture
def world(settings: Any) -> World:
    cache.clear()
    Path(settings.STATIC_ROOT).mkdir(exist_ok=True)
    return World()


@pytest.fixture
def visited() -> Iterator[list[str]]:
    """Paths that somebody asked a server on this machine for; the first is the server's address."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_arguments: Any) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    asked.append(f"http://127.0.0.1:{server.server_port}")
    yield asked
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_document_that_links_to_a_server_fetches_nothing(
    visited: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    at, file = visited[0], (ROOT / "README.md").as_uri()
    made = pdf.pdf_of(
        f'<link rel="stylesheet" href="{at}/style.css"><style>@import "{at}/import.css"; '
        f"@font-face {{ font-family: x; src: url({at}/font.woff) }} p {{ font-family: x; background: url({at}/b.png) }}"
        f'</style><p>Text <img src="{at}/i.png"><img src="{file}"><object data="{at}/o.svg"></object>'
        f'<link rel="attachment" href="{file}"><svg><image href="{at}/s.png"/></svg>'
    )
    assert made.startswith(b"%PDF-")
    assert visited[1:] == []
    assert b"EmbeddedFile" not in made


def test_the_server_of_that_test_would_have_been_asked(visited: list[str]) -> None:
    import weasyprint

    weasyprint.HTML(string=f'<img src="{visited[0]}/i.png">').write_pdf()
    assert visited[1:] == ["/i.png"]


def test_text_of_records_stays_text(world: World) -> None:
    world.fill(fill_oddly)
    for what in ("summary", "history"):
        html = printing.paper_html(own_scope(world.alice), what=what, now=world.now)
        assert "<script>alert" not in html
        assert "<b>bold" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html


def test_sensitive_and_hidden_entries_are_on_paper_only_when_ticked(world: World) -> None:
    world.fill(fill_district_hospital)
    Hide.objects.create(patient=world.alice, kind="category", category="allergy", created_at=world.now)
    for what in ("summary", "history"):
        page = world.page("print_record", what=what)
        assert "HbA1c" in page
        assert "Viral load" not in page
        assert "Penicillin" not in page
        assert "Viral load" in world.page("print_record", what=what, sensitive="hiv")
        assert "Penicillin" in world.page("print_record", what=what, with_hidden="on")


def test_the_history_on_paper_has_every_visit(world: World) -> None:
    fill_with_many(world.chart, n_records=600)
    world.fill()
    assert sum(visit.n_records for visit in history.all_visits(scope=own_scope(world.alice))) >= 601
    assert "Ward round" not in world.page("print_record", what="summary")
    assert world.page("print_record", what="history").count("Ward round") >= 30


def test_every_sheet_says_whose_it_is(world: World) -> None:
    """One that lies apart from the others must not be taken for somebody else's."""
    fill_with_many(world.chart, n_records=600)
    world.fill()
    weasyprint = pytest.importorskip("weasyprint")
    html = printing.paper_html(own_scope(world.alice), what="history", now=world.now)
    sheet = weasyprint.CSS(filename=finders.find("passport/paper.css"))
    sheets = weasyprint.HTML(string=html).render(stylesheets=[sheet]).pages
    assert len(sheets) > 2
    for each in sheets:
        told = " ".join(box.text for box in each._page_box.descendants() if hasattr(box, "text"))
        assert f"{world.alice.full_name}, born " in told.replace("\n", " ")


def test_a_pdf_comes_as_a_file(world: World) -> None:
    world.fill(fill_district_hospital)
    answer = world.browser().get(reverse("print_record"), {"what": "summary", "as": "pdf"})
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/pdf")
    assert answer.content.startswith(b"%PDF-")


def test_a_history_too_long_for_the_page_is_a_sentence(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.fill(fill_district_hospital)
    monkeypatch.setattr(printing, "LONGEST_PDF", 3)
    answer = world.browser().get(reverse("print_record"), {"what": "history", "as": "pdf"})
    assert answer.status_code == 409
    assert "too long for this page" in answer.content.decode()


def test_so_many_pdfs_and_then_a_sentence(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.fill()
    monkeypatch.setattr(printing, "MOST_PDFS", 1)
    client, query = world.browser(), {"what": "summary", "as": "pdf"}
    assert [client.get(reverse("print_record"), query).status_code for _time in range(2)] == [200, 409]


def test_without_weasyprint_the_page_says_what_to_do(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.fill(fill_district_hospital)
    monkeypatch.setitem(sys.modules, "weasyprint", None)  # as where the extra is not installed
    answer = world.browser().get(reverse("print_record"), {"as": "pdf"})
    assert answer.status_code == 409
    assert "Print the page instead" in answer.content.decode()
    assert not pdf.is_available()


@pytest.mark.slow
def test_eight_hundred_rows_take_bounded_memory() -> None:
    rows = "".join(f"<li><b>Glucose {n}</b> <span>{n % 9} mmol/L</span><small>Ward 3</small></li>" for n in range(800))
    html = f'<h1>Long</h1><ul class="paper-lines">{rows}</ul>'
    script = (
        "import os, re, resource, sys, django\n"
        "os.environ['DJANGO_SETTINGS_MODULE'] = 'passport.settings'; django.setup()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (1_200_000_000, 1_200_000_000))\n"
        "from passport import pdf\n"
        # not ru_maxrss: that of the process before it stays with a new program
        "made = pdf.pdf_of(sys.stdin.read()); peak = re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())\n"
        "print(len(made), peak[1])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], input=html, capture_output=True, text=True, cwd=ROOT, check=True, timeout=110
    )
    n_bytes, kilobytes = map(int, done.stdout.split())
    assert n_bytes > 10_000
    assert kilobytes < 400_000


# --- the emergency card -----------------------------------------------------------------------------------------------


def test_the_card_says_what_helpers_need_and_nothing_sensitive(world: World) -> None:
    world.fill(fill_district_hospital, fill_oddly)
    page = world.page("emergency_card")
    for words in (
        "Claudine Uwimana",
        "14 March 1981",
        "1198180012345678",
        "Penicillin",
        "Hypertension",
        "Metformin",
        "O+",
    ):
        assert words in page
    assert "Viral load" not in page
    assert "data:image/svg" not in page


def test_records_that_contradict_each_other_say_no_blood_group(world: World) -> None:
    for value in ("O+", "A-"):
        world.chart.add(concept="Blood group", value=value, at=world.chart.moment(5, "10:00:00"))
    world.fill()
    assert "Blood group" not in world.page("emergency_card")


def test_a_code_on_the_card_opens_without_a_passcode_and_ends_the_one_before(world: World) -> None:
    world.fill(fill_district_hospital)
    client, address = world.browser(), reverse("emergency_card")
    for _time in range(2):
        client.post(address, {"term": "year"})
    newest, older = Share.objects.order_by("-created_at")
    assert (older.ended_why, newest.ended_at) == ("replaced", None)
    page = client.get(address).content.decode()
    assert "data:image/svg" in page
    assert "data:image/svg" not in world.page("emergency_card")  # another login
    answers = [
        Client().post(
            reverse("shared_manifest", args=[share.token]), '{"recipient": "SAMU"}', content_type="application/json"
        )
        for share in (older, newest)
    ]
    assert [answer.status_code for answer in answers] == [404, 200]
