"""Who looked, in words: one line per look, and what one person read at one sitting folded into one."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from passport.access import Basis
from passport.history import Look
from passport.views.words import BASES, Words, local, names, time, when

ACTIONS: Words = {
    "patient_found": gettext_lazy("searched for your National ID"),
    "overview_read": gettext_lazy("opened your overview"),
    "fhir_exported": gettext_lazy("took your summary as a FHIR document"),
    "visits_read": gettext_lazy("opened your history"),
    "records_read": gettext_lazy("read your entries"),
    "record_read": gettext_lazy("opened one entry"),
    "results_read": gettext_lazy("opened your test results"),
    "medicines_read": gettext_lazy("opened your medicines"),
    "profile_read": gettext_lazy("opened your profile"),
    "who_looked_read": gettext_lazy("opened this list"),
    "patient_registered": gettext_lazy("registered you for a passport"),
    "identifier_added": gettext_lazy("added one of your National ID numbers"),
    "account_created": gettext_lazy("made your login"),
    "patient_opened_in_admin": gettext_lazy("opened your details: name, birth date, numbers"),
    "patient_added_in_admin": gettext_lazy("entered your details"),
    "patient_changed_in_admin": gettext_lazy("changed your details"),
    "accessgrant_added_in_admin": gettext_lazy("let a doctor or a hospital into your record"),
    "accessgrant_changed_in_admin": gettext_lazy("changed whom you let into your record, or until when"),
    "accessgrant_deleted_in_admin": gettext_lazy("ended a permission to see your record"),
    "link_decided_same": gettext_lazy("decided that a hospital's patient is you"),
    "link_decided_different": gettext_lazy("decided that a hospital's patient is not you"),
    "link_decision_undone": gettext_lazy("took back a decision whether a hospital's patient is you"),
    "audit_exported": gettext_lazy("downloaded the list of who looked"),
    "permissions_read": gettext_lazy("opened your page of permissions"),
    "grant_made": gettext_lazy("let a doctor or a hospital into your record"),
    "grant_ended": gettext_lazy("ended a permission to see your record"),
    "proxy_invited": gettext_lazy("invited somebody to read for you"),
    "proxy_accepted": gettext_lazy("took your invitation to read for you"),
    "proxy_made": gettext_lazy("let a guardian or carer read for you"),
    "proxy_choice_changed": gettext_lazy("changed what somebody who reads for you may see"),
    "proxy_ended": gettext_lazy("ended somebody's reading for you"),
    "hide_added": gettext_lazy("chose something that others do not see"),
    "hide_removed": gettext_lazy("chose to show something again"),
    "break_glass_opened": gettext_lazy("opened your record in an emergency"),
    "break_glass_seen": gettext_lazy("read the notice of an emergency"),
    "break_glass_reviewed": gettext_lazy("reviewed an emergency in which your record was opened"),
    "desk_code_issued": gettext_lazy("gave out a code with which you take your passport"),
    "claim": gettext_lazy("tried to take your passport"),
    "claim_proved": gettext_lazy("gave your number, birth date and code"),
    "claim_refused": gettext_lazy("tried to take your passport"),
    "passport_claimed": gettext_lazy("took the passport with a code from the desk"),
    "contact_changed": gettext_lazy("changed how you are reached"),
    "consent_recorded": gettext_lazy("recorded your agreement"),
    "consent_withdrawn": gettext_lazy("took back your agreement"),
    "death_recorded": gettext_lazy("recorded a death"),
    "death_taken_back": gettext_lazy("took back that a death was recorded"),
    "identifier_corrected": gettext_lazy("corrected one of your National ID numbers"),
    "patients_merged": gettext_lazy("joined two passports of yours"),
    "patients_merge_undone": gettext_lazy("took two passports apart again"),
    "patient_erased": gettext_lazy("deleted your passport"),
    "shares_read": gettext_lazy("opened your page of links"),
    "downloads_read": gettext_lazy("opened your page of copies"),
    "download_asked": gettext_lazy("asked for a copy of all your data"),
    "download_fetched": gettext_lazy("took the copy of all your data"),
    "record_printed": gettext_lazy("printed your record or made a PDF of it"),
    "emergency_card_read": gettext_lazy("opened your emergency card"),
    "share_made": gettext_lazy("made a link to your summary"),
    "share_ended": gettext_lazy("ended a link to your summary"),
    "share_opened": gettext_lazy("opened your summary by a link that you gave out"),
    "share_wrong": gettext_lazy("typed a wrong passcode for a link of yours"),
    "share_closed": gettext_lazy("tried a link of yours that is no longer open"),
    "corrections_read": gettext_lazy("opened your list of corrections"),
    "correction_asked": gettext_lazy("asked a hospital to correct an entry of yours"),
    "correction_withdrawn": gettext_lazy("took back that an entry of yours be corrected"),
    "correction_answered": gettext_lazy("answered your request for a correction"),
    "correction_declined": gettext_lazy("declined your request for a correction"),
    "notices_chosen": gettext_lazy("chose to be told when there is something new"),
    "notices_ended": gettext_lazy("ended the notices of what is new"),
    "notice_sent": gettext_lazy("told you that there is something new"),
    "correction_closed": gettext_lazy("saw that a hospital changed the entry you asked about"),
    "sync_patient": gettext_lazy("asked hospitals for your newest entries"),
    "sync_patient_done": gettext_lazy("got the hospitals' answer for your newest entries"),
}

ROLES: Words = {
    "doctor": gettext_lazy("A doctor"),
    "admin": gettext_lazy("An administrator"),
    "patient": gettext_lazy("A patient's login"),
    "system": gettext_lazy("Patient Passport itself"),
}

#: What a review of an emergency found: the basis of its audit row.
REVIEWED = "break_glass_reviewed"
FOUND: Words = {
    "justified": gettext_lazy("it was in order"),
    "unclear": gettext_lazy("it is not clear yet whether it was in order; the doctor is asked"),
    "not_justified": gettext_lazy("it was not in order; it is followed up with the doctor and the hospital"),
}

#: Who had no login, by why they were let in; what they called themselves stands on the page of links.
WITHOUT_LOGIN: Words = {"share": gettext_lazy("Somebody with a link of yours")}
#: What is done with a code from the desk comes before any login.
CLAIMS = frozenset({"claim", "claim_proved", "claim_refused"})
AT_THE_DOOR = gettext_lazy("Somebody without a login")


@dataclass(frozen=True, slots=True, kw_only=True)
class LookWords:
    when: str
    who: str
    role: str  # empty where `who` says it already
    what: str
    why: str
    is_own: bool
    is_emergency: bool


def look_words(look: Look, *, now: dt.datetime) -> LookWords:
    nameless = (
        AT_THE_DOOR if look.action in CLAIMS else WITHOUT_LOGIN.get(look.basis) or ROLES.get(look.role, look.role)
    )
    who = look.who or str(nameless)
    what = str(ACTIONS.get(look.action, "")) or look.action.replace("_", " ")
    why = str((FOUND if look.action == REVIEWED else BASES).get(look.basis, ""))
    if look.was_refused:
        what, why = _("was refused"), _("They tried to see your record. Nothing was shown.")
    return LookWords(
        when=when(look.at, now=now),
        who=f"{who}, {look.hospital_name}" if look.hospital_name else who,
        role=str(ROLES.get(look.role, look.role)) if look.who else "",
        what=what,
        why=why,
        is_own=look.basis == Basis.ONESELF or look.is_holder,
        is_emergency=look.basis == Basis.BREAK_GLASS and not look.was_refused,
    )


# --- what belongs together --------------------------------------------------------------------------------------------

#: Looks of the same person with a longer pause between them are told apart.
SITTING = dt.timedelta(minutes=30)
#: What is folded: reading. A decision, a share or a change stands by itself.
READING = frozenset({"patient_found", "fhir_exported", "sync_patient", "sync_patient_done"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Sitting:
    """`said`: the person, and everything that was done, in the order in which it was; `looks`: each, newest first."""

    said: LookWords
    looks: Sequence[LookWords]
    since: str  # the time of the first


def sittings(looks: Sequence[Look], *, now: dt.datetime) -> list[Sitting]:
    """The looks of a page, newest first, with what one person read at one sitting as one. None is left out."""
    found: list[list[Look]] = []
    for look in looks:
        if found and _belongs(look, found[-1]):
            found[-1].append(look)
        else:
            found.append([look])
    return [_sitting(each, now=now) for each in found]


def _belongs(look: Look, sitting: Sequence[Look]) -> bool:
    """Whether this is an earlier look of the same sitting; who has no name is nobody's second look."""
    after = sitting[-1]
    return (
        bool(look.who)
        and (look.who, look.role, look.was_refused) == (after.who, after.role, after.was_refused)
        and all(_is_reading(each) for each in (look, after))
        and after.at - look.at <= SITTING
        and local(look.at).date() == local(after.at).date()
        and all(_agree(look.basis, each.basis) and _agree(look.hospital, each.hospital) for each in sitting)
    )


def _is_reading(look: Look) -> bool:
    return look.was_refused or look.action.endswith("_read") or look.action in READING


def _agree(one: str | None, other: str | None) -> bool:
    return not one or not other or one == other


def _sitting(looks: Sequence[Look], *, now: dt.datetime) -> Sitting:
    told = [look_words(look, now=now) for look in looks]
    # The one that says the most: what was asked of the hospitals names neither a hospital nor a reason.
    fullest = max(told, key=lambda each: (len(each.why), len(each.who)))
    what = names(list(dict.fromkeys(each.what for each in reversed(told))))
    since = time(looks[-1].at) if len(looks) > 1 else ""
    return Sitting(said=replace(fullest, when=told[0].when, what=what), looks=told, since=since)
