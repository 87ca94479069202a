"""Units as people write them, where a hospital's computer could not: DEG C → °C. For eyes only.

What compares, joins or is sent on (API, FHIR, CSV) keeps the hospital's own writing.
"""

#: By the hospital's writing, case folded. Only what can be read in one way.
PEOPLES = {
    "deg c": "°C",
    "degc": "°C",
    "degrees c": "°C",
    "umol/l": "µmol/L",
    "ug/l": "µg/L",
    "ug/dl": "µg/dL",
    "ug/ml": "µg/mL",
    "/ul": "/µL",
    "cells/ul": "cells/µL",
    "10^3/ul": "10³/µL",
    "10^6/ul": "10⁶/µL",
    "10^9/l": "10⁹/L",
    "10^12/l": "10¹²/L",
    "kg/m2": "kg/m²",
}


def as_people_write(unit: str) -> str:
    """The unit for a page; one that is not known here stays as it is."""
    return PEOPLES.get(unit.strip().casefold(), unit)
