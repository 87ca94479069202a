"""A spreadsheet shows what we export and never runs it."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from passport.sheets import cell, plain, sheet


@pytest.mark.parametrize("text", ["=1+1", "+25078", "-2", "@SUM(A1)", "\t=1", "\r=1", " =1", "'=1"])
def test_a_text_that_looks_like_a_formula_stands_behind_an_apostrophe(text):
    assert cell(text) == f"'{text}"


@pytest.mark.parametrize("value, written", [(-3, "-3"), (2.5, "2.5"), (None, ""), ("Kigali", "Kigali"), (0, "0")])
def test_numbers_and_plain_words_stay_as_they_are(value, written):
    assert cell(value) == written


@given(st.text())
def test_what_goes_out_comes_back(text):
    assert plain(cell(text)) == text


@given(st.lists(st.lists(st.text(alphabet="=+-@'\",;\n a1é"), min_size=2, max_size=2), max_size=5))
def test_a_sheet_reads_back_as_it_was(rows):
    read = list(csv.reader(io.StringIO(sheet(header=["a", "b"], rows=rows), newline="")))
    assert [[plain(text) for text in row] for row in read[1:]] == rows
