"""A doctor at a pretend hospital who adds, corrects and voids something every now and then: the demo's pulse."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Sequence

from tests.openmrs.hospital import PretendHospital


class DemoDoctor:
    """Does one thing at a time for one of these persons.  Deterministic by its seed, but for the clock."""

    def __init__(self, hospital: PretendHospital, person_ids: Sequence[int], *, seed: int = 1) -> None:
        self.hospital, self.person_ids = hospital, list(person_ids)
        self.random = random.Random(seed)
        self.written: list[int] = []  # obs of today that may be corrected or voided

    def act(self) -> str:
        """Do something and return what, without names or values: "added", "corrected", "voided" or "un-voided"."""
        draw = self.random.random()
        if len(self.written) < 2 or draw < 0.6:
            self._see_somebody()
            return "added"
        place = self.random.randrange(len(self.written))
        obs = self.written[place]
        if self.hospital.row("obs", obs)["voided"]:
            self.hospital.unvoid_obs(obs)
            return "un-voided"
        if draw < 0.85:
            self.written[place] = self.hospital.edit_obs(obs, float(self.random.randint(110, 150)))
            return "corrected"
        self.hospital.void_obs(obs)
        return "voided"

    def _see_somebody(self) -> None:
        h, person = self.hospital, self.random.choice(self.person_ids)
        now = h.clock()
        visit = h.add_visit(person, started=now - dt.timedelta(minutes=30))
        encounter = h.add_encounter(person, visit=visit, at=now - dt.timedelta(minutes=5))
        pressure = h.add_obs(person, "systolic", float(self.random.randint(108, 162)), encounter=encounter)
        h.add_obs(person, "diastolic", float(self.random.randint(66, 98)), encounter=encounter)
        if self.random.random() < 0.3:
            h.add_drug_order(
                person, self.random.choice(("paracetamol", "ibuprofen", "amlodipine")), encounter=encounter, days=5
            )
        self.written.append(pressure)
