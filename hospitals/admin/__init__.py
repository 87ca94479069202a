"""Hospitals in the admin: their pages and verbs, and what is only looked at. Importing the package registers them."""

from hospitals.admin.hospitals import HospitalAdmin
from hospitals.admin.looking import SIGNS, ReadOnly
from hospitals.admin.verbs import HospitalPage, HospitalVerb

__all__ = ["SIGNS", "HospitalAdmin", "HospitalPage", "HospitalVerb", "ReadOnly"]
