"""The record as FHIR R4: an International Patient Summary, built from what `passport.history` shows.

By hand: no library of FHIR resources speaks R4 and refuses what R4 refuses; the tests hold the result against a
validator and against the rules of the IPS (http://hl7.org/fhir/uv/ips). What no hospital said is coded as absent,
never left to be guessed: no status means "unknown", no list means "no information".

    summary      the document: Bundle, Composition               sections    allergies, medicines, conditions, …
    resources    one record → one resource
    codes        codings, statuses, units in UCUM                narrative   the same in words, for people
"""

from passport.fhir.summary import AS_WRITTEN, MEDIA_TYPE, Wording, patient_summary

__all__ = ["AS_WRITTEN", "MEDIA_TYPE", "Wording", "patient_summary"]
