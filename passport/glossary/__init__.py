"""Plain words for concepts, in the languages of the pages.

`terms.csv` comes with the passport: the commonest concepts of the CIEL dictionary, whose uuids are the code padded with
A to 36 characters. An admin's own words (`GlossaryTerm`) stand over it, one concept and language at a time, so that a
later version of the file never undoes what someone corrected. English and French of the file count as reviewed;
Kinyarwanda does not until a speaker says so, and pages and exports say that.

    words_for    what the pages ask        export_sheet, import_sheet    the round trip through a spreadsheet
"""

from passport.glossary.sheets import COLUMNS, export_sheet, import_sheet
from passport.glossary.words import Plain, words_for

__all__ = ["COLUMNS", "Plain", "export_sheet", "import_sheet", "words_for"]
