"""The sync in the admin: links and decisions, parked rows, runs, certificates, dry runs, concept rules,
alerts, start and stop.

Nothing here shows what a hospital recorded, nor a name: sex and birth year of our patient, and the hospital's own ids.
Importing the package registers its pages and adds its verbs to those of a hospital.
"""

import django_q.admin  # noqa: F401 - registers its pages, so that they can be taken away below
from django.contrib import admin
from django.contrib.admin.exceptions import NotRegistered
from django_q.models import Failure, OrmQ, Schedule, Success, Task

from openmrs_sync.admin import (
    alerts,
    certificates,
    going_live,
    hospitals,
    inspections,
    links,
    parked,
    rules,
    runs,
    schedule,
    unmatched,
    workbench,
)

__all__ = [
    "alerts",
    "certificates",
    "going_live",
    "hospitals",
    "inspections",
    "links",
    "parked",
    "rules",
    "runs",
    "schedule",
    "unmatched",
    "workbench",
]

# A Schedule row may call anything, and "resubmit" replays any task: only our code writes these rows.
for model in (Schedule, Success, Failure, OrmQ, Task):
    try:
        admin.site.unregister(model)
    except NotRegistered:
        continue
