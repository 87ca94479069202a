"""What is shown of a patient, to pages and API alike. Reads only; who may read was decided in `access`.

Every read asks for the *scope* of the look, which `access` alone makes: whose record, and what is left out of it. It
asks the control plane for the patient's *linked* links and then filters records by patient and link, so unlinking or
holding a person hides everything in that one commit. Records may live in another database: no join, no
subquery, no queryset inside `__in`. Each function makes the same number of queries however long the history is.

    shapes    what comes out, and the filters that go in
    filters   a URL's query → filters
    shown     which records may be shown, and what one looks like
    kept      what was made of them, for as long as they stand as they did
    records   the list, and one record        outlines, visits   the history by visit
    summary   the overview                    standing what holds now, as far as anyone says
    fresh     how far each hospital can be trusted
    chips     how many entries each filter would leave
    results   tests and measurements, one row each    trends  one of them through the years
    vitals    their order, and which two numbers are one blood pressure
    medicines what is taken, was taken, and what nobody can say
    looks     who looked                      words, cursors   searching, paging
"""

from passport.history.filters import parse_filters
from passport.history.fresh import freshness, may_hold_more
from passport.history.looks import all_looks, looks_page
from passport.history.medicines import Medicine, Medicines, all_medicines
from passport.history.records import match_rules, named_records, record_detail, records_page, version
from passport.history.results import MEASURED, ResultRow, result_rows
from passport.history.shapes import (
    LONGEST_PAGE,
    LONGEST_SEARCH,
    PAGE,
    BadCursor,
    BadFilter,
    Block,
    CategoryGroup,
    Entry,
    Facets,
    Filters,
    Freshness,
    FreshnessState,
    Look,
    LooksPage,
    Overview,
    RecordDetail,
    RecordsPage,
    RecordView,
    Source,
    Standing,
    Stated,
    Status,
    VisitsPage,
    VisitView,
)
from passport.history.standing import standing_of
from passport.history.summary import overview
from passport.history.trends import LONGEST_TREND, Curve, Trend, TrendChart, trend
from passport.history.visits import all_visits, visits_page

__all__ = [
    "LONGEST_PAGE",
    "LONGEST_SEARCH",
    "LONGEST_TREND",
    "MEASURED",
    "PAGE",
    "BadCursor",
    "BadFilter",
    "Block",
    "CategoryGroup",
    "Curve",
    "Entry",
    "Facets",
    "Filters",
    "Freshness",
    "FreshnessState",
    "Look",
    "LooksPage",
    "Medicine",
    "Medicines",
    "Overview",
    "RecordDetail",
    "RecordView",
    "RecordsPage",
    "ResultRow",
    "Source",
    "Standing",
    "Stated",
    "Status",
    "Trend",
    "TrendChart",
    "VisitView",
    "VisitsPage",
    "all_looks",
    "all_medicines",
    "all_visits",
    "freshness",
    "looks_page",
    "match_rules",
    "may_hold_more",
    "named_records",
    "overview",
    "parse_filters",
    "record_detail",
    "records_page",
    "result_rows",
    "standing_of",
    "trend",
    "version",
    "visits_page",
]
