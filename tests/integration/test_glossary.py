"""Plain words for concepts: what comes with the passport, what admins change, the way through a spreadsheet."""

import csv
import datetime as dt
import io

import pytest
from django.urls import reverse

from passport.glossary import COLUMNS, export_sheet, import_sheet, words_for
from passport.glossary.words import FILE, shipped
from passport.models import AuditEvent, GlossaryTerm
from passport.models.glossary import Language
from passport.sheets import sheet

pytestmark = pytest.mark.django_db
NOW = dt.datetime(2026, 11, 1, 8, 0, tzinfo=dt.UTC)
MALARIA = "116128".ljust(36, "A")
SYSTOLIC = "5085".ljust(36, "A")


def lines(text):
    return list(csv.DictReader(io.StringIO(text, newline="")))


def a_sheet(*rows):
    return sheet(header=COLUMNS, rows=rows)


def test_at_least_150_concepts_come_with_words_in_every_language():
    assert len(shipped()) >= 150
    assert all(set(terms) == set(Language.values) for terms in shipped().values())


def test_no_concept_stands_twice_in_the_file():
    with FILE.open(encoding="utf-8", newline="") as file:
        concepts = [line["concept"] for line in csv.DictReader(file)]
    assert len(concepts) == len(set(concepts))
    assert all(len(concept) == 36 and concept.rstrip("A").isdigit() for concept in concepts)


def test_kinyarwanda_awaits_its_speaker_and_the_others_do_not():
    reviewed = {language: {terms[language].is_reviewed for terms in shipped().values()} for language in Language.values}
    assert reviewed == {"en": {True}, "fr": {True}, "rw": {False}}


def test_words_are_found_by_concept_in_one_query(django_assert_num_queries):
    with django_assert_num_queries(1):
        words = words_for([MALARIA, SYSTOLIC, "unknown", ""], language="fr")
    assert {concept: plain.words for concept, plain in words.items()} == {
        MALARIA: "Paludisme",
        SYSTOLIC: "Tension artérielle, chiffre du haut",
    }


def test_an_admins_words_stand_over_those_of_the_file_in_that_language_alone():
    import_sheet(a_sheet((MALARIA, "Malaria", "rw", "Malariya (umuriro)", "", "yes")), actor=None, now=NOW)
    assert words_for([MALARIA], language="rw")[MALARIA].words == "Malariya (umuriro)"
    assert words_for([MALARIA], language="rw")[MALARIA].is_reviewed
    assert words_for([MALARIA], language="en")[MALARIA].words == "Malaria"


def test_the_whole_glossary_goes_out_and_comes_back_unchanged():
    done = import_sheet(export_sheet(), actor=None, now=NOW)
    assert (done.n_changed, done.refused) == (0, ())
    assert done.n_unchanged == len(lines(export_sheet())) >= 450
    assert not GlossaryTerm.objects.exists()


def test_a_spreadsheet_changed_once_changes_once():
    changed = a_sheet(
        (MALARIA, "Malaria", "en", "Malaria, +fever", "", "no"), ("own-uuid", "Own", "fr", "À nous", "", "no")
    )
    assert import_sheet(changed, actor=None, now=NOW).n_changed == 2
    assert import_sheet(changed, actor=None, now=NOW).n_changed == 0
    assert AuditEvent.objects.filter(action="glossary_imported").count() == 1


@pytest.mark.parametrize(
    "row, sentence",
    [
        (("c", "n", "de", "Wort", "", "no"), "language"),
        (("", "n", "en", "word", "", "no"), "must not be empty"),
        (("c", "n", "en", "", "", "no"), "must not be empty"),
        (("c", "n", "en", "w" * 201, "", "no"), "Too long: words"),
        (("c", "n", "en", "word", "", "perhaps"), "yes or no"),
        (("c", "n", "en", "wo\x00rd", "", "no"), "cannot be shown"),
    ],
)
def test_a_line_that_cannot_be_taken_is_named_and_the_others_come_in(row, sentence):
    done = import_sheet(a_sheet(row, ("c", "n", "en", "good", "", "no")), actor=None, now=NOW)
    assert [line.line for line in done.refused] == [2]
    assert sentence in done.refused[0].message
    assert words_for(["c"], language="en")["c"].words == "good"


@pytest.mark.parametrize("text", ["", "words,language\r\nx,en\r\n", 'concept,name,language,words,more,reviewed\r\n"'])
def test_a_file_that_is_none_changes_nothing_and_says_why(text):
    done = import_sheet(text, actor=None, now=NOW)
    assert len(done.refused) == 1
    assert not GlossaryTerm.objects.exists()


def test_an_admin_exports_and_imports(admin_client):
    answer = admin_client.get(reverse("admin:passport_glossaryterm_export"))
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    body = answer.content.decode("utf-8-sig").replace("Paludisme grave", "Paludisme sévère")
    file = io.BytesIO(body.encode("utf-8-sig"))
    file.name = "glossary.csv"
    answer = admin_client.post(reverse("admin:passport_glossaryterm_import"), {"sheet": file}, follow=True)
    assert "1 changed" in answer.content.decode()
    assert GlossaryTerm.objects.get().words == "Paludisme sévère"
    assert AuditEvent.objects.filter(action="glossary_exported").count() == 1


def test_a_bad_file_is_answered_with_its_lines(admin_client):
    for content, sentence in [
        (b"\xff\xfe\x00", "not UTF-8"),
        (a_sheet(("c", "n", "de", "Wort", "", "no")).encode(), "Line 2"),
    ]:
        file = io.BytesIO(content)
        file.name = "x.csv"
        answer = admin_client.post(reverse("admin:passport_glossaryterm_import"), {"sheet": file})
        assert sentence in answer.content.decode()
    assert not GlossaryTerm.objects.exists()
