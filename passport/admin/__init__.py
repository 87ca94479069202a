"""Accounts, patients with their numbers and grants, placeholders; the audit chain to read. Changes leave audit rows.

Here admins manage who there is. What is recorded about a patient they see through `access` like everyone else.

    audited    what Django writes to the admin's own history goes to the audit chain too
    standing   what becomes of a passport: codes, corrections, merges, death, consent, deletion
    devices    one-time codes of others
    accounts   logins          patients   passport holders, numbers that stand for none
    access     who may see whom           audit      the chain, to read
    corrections  what patients ask hospitals to put right
    claims     whose provider rows        emergencies  their review          sensitive  sets of concepts
    foreign    pages of other packages that nobody may use here
"""

from passport.admin import (
    access,
    accounts,
    audit,
    claims,
    corrections,
    devices,
    emergencies,
    foreign,
    glossary,
    patients,
    sensitive,
    standing,
)

__all__ = [
    "access",
    "accounts",
    "audit",
    "claims",
    "corrections",
    "devices",
    "emergencies",
    "foreign",
    "glossary",
    "patients",
    "sensitive",
    "standing",
]
