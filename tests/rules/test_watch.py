"""Watch: what makes it fast. Sweep: what makes it certain."""

import datetime as dt
from typing import Any

import pytest
from django.utils import timezone

from openmrs_sync import links, looks, pipeline, queries, refresh, watcher
from openmrs_sync.models import ParkedRow
from passport.models import Link, Record
from tests.integration import world
from tests.rules.ward import ALICE, BOB, LONG_AGO, Rule, Ward

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _long_ago(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is here was here long ago: what was stamped within the last hours is read again at every deep look."""
    monkeypatch.setattr(ward.pretend, "clock", lambda: LONG_AGO)


@pytest.fixture
def deep_below(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything lies far below the newest thousand ids, as it does in a hospital with years of rows."""
    monkeypatch.setattr(watcher, "WINDOW", 0)


# ------------------------------------------------------------------------------------------------ every tick


@pytest.mark.slow
def test_new_rows_are_found_by_their_id_and_not_by_their_stamp(ward: Ward, rule: Rule) -> None:
    """T2, T61: an import sets date_created years back."""
    ids_above = queries.ids_above
    rule.instead(
        queries,
        "ids_above",
        lambda table: ids_above(table).replace("WHERE", "WHERE date_created > NOW() - INTERVAL 1 DAY AND"),
    )
    person = ward.add_holder(ALICE)
    ward.see(person, 60)
    ward.sync()
    ward.pretend.add_obs(person, "weight", 61.0, date_created=LONG_AGO)
    ward.look()
    rule.ends(ward.seen_by(ALICE), kept=["60", "61"], taken_out=["60"])


def test_the_last_thousand_ids_are_looked_at_again(ward: Ward, rule: Rule) -> None:
    """T1, T70: a lower id commits after a higher one was read."""
    rule.instead(watcher, "WINDOW", 0)
    person = ward.add_holder(ALICE)
    ward.see(person, 60)
    ward.sync()
    with ward.pretend.transaction() as late:
        late.add_obs(person, "weight", 62.0)
        ward.pretend.add_obs(person, "weight", 63.0)
        ward.look()
        late.commit()
    ward.look()
    rule.ends(ward.seen_by(ALICE), kept=["60", "62", "63"], taken_out=["60", "63"])


@pytest.mark.slow
def test_of_a_row_that_changed_hands_the_new_owner_is_marked(ward: Ward, rule: Rule) -> None:
    """Among the last thousand ids, in place, with no stamp. Whoever lost it is marked, too, and would not bring it."""
    rule.reworded(
        watcher,
        "_look_at",
        ("                persons.add(owner)\n", "                persons.add(owner) if known is None else None\n"),
    )
    rule.reworded(refresh, "_lose", ("if changes.moves:", "if False:"))
    alice, bob = ward.add_holder(ALICE), ward.add_holder(BOB)
    (weight,) = ward.see(alice, 60)
    ward.see(bob, 80)
    ward.sync()
    ward.change_quietly(weight, person_id=bob, encounter_id=None)
    ward.look()
    ward.look()
    rule.ends(ward.seen_by(BOB), kept=["60", "80"], taken_out=["80"])


@pytest.mark.slow
def test_an_id_that_vanished_from_the_window_marks_its_owner(ward: Ward, rule: Rule) -> None:
    """T24: a purge among the newest rows is seen at the next tick."""
    rule.reworded(watcher, "_look_at", ("persons.update(lost.values())", "pass"))
    weights = ward.see(ward.add_holder(ALICE), 60, 61)
    ward.sync()
    ward.pretend.purge_obs(weights[0])
    ward.look()
    rule.ends(ward.seen_by(ALICE), kept=["61"], taken_out=["60", "61"])


@pytest.mark.slow
@pytest.mark.usefixtures("deep_below")
def test_both_persons_of_a_merge_are_marked(ward: Ward, rule: Rule) -> None:
    """T25: as 1.x merges: the rows change hands in place."""
    rule.instead(watcher, "_look_at_merges", lambda _fetch, head, _persons: head or watcher.Head(-1, {}))
    winner, loser = ward.add_holder(ALICE), ward.pretend.add_person()
    ward.see(winner, 60)
    (weight,) = ward.see(loser, 61)
    ward.sync()
    ward.change_quietly(weight, person_id=winner, encounter_id=None)
    ward.pretend.insert("person_merge_log", winner_person_id=winner, loser_person_id=loser, merged_data="<merged/>")
    ward.look()
    rule.ends(ward.seen_by(ALICE), kept=["60", "61"], taken_out=["60"])


@pytest.mark.slow
def test_what_was_seen_is_saved_together_with_the_marks(
    ward: Ward, rule: Rule, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T6: killed between the two: the next look must see it again."""
    mark = "        links.mark_persons(hospital=session.hospital, person_ids=seen.persons, now=now)\n"
    save = "        Watermark.objects.filter(pk=session.hospital.pk).update(**found)\n"
    rule.reworded(looks, "look", (mark, ""), (save, save + mark), ("with transaction.atomic():", "if True:"))
    person = ward.add_holder(ALICE)
    (weight,) = ward.see(person, 60)
    ward.sync()
    monkeypatch.setattr(watcher, "WINDOW", 0)
    ward.see(person, 61)

    def killed(**_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(links, "mark_persons", killed)
        with pytest.raises(KeyboardInterrupt):
            world.sync(ward.hospital, deep=False)
    ward.look()
    rule.ends(ward.seen_by(ALICE), kept=["60", "61"], taken_out=["60"])
    assert weight in ward.values()


@pytest.mark.slow
def test_new_rows_are_read_to_the_last_page(ward: Ward, rule: Rule, monkeypatch: pytest.MonkeyPatch) -> None:
    """T4: after a long pause there are more new rows than one page holds, all of one second."""
    monkeypatch.setattr(watcher, "PAGE", 2)
    rule.reworded(watcher, "_look_at", ("if len(page) < PAGE:", "if True:"))
    monkeypatch.setattr(watcher, "WINDOW", 0)
    alice, bob = ward.add_holder(ALICE), ward.add_holder(BOB)
    ward.sync()
    for owner, weight in ((alice, 60), (alice, 61), (bob, 80)):
        ward.pretend.add_obs(owner, "weight", weight)
    ward.look()
    rule.ends(ward.seen_by(BOB), kept=["80"], taken_out=[])


# ------------------------------------------------------------------------------------------------ the deep look


@pytest.mark.slow
@pytest.mark.usefixtures("deep_below")
def test_the_set_of_ids_of_each_person_is_compared(ward: Ward, rule: Rule) -> None:
    """T24: a purge among old rows leaves nothing behind but the gap."""
    rule.instead(watcher, "changed_fingerprints", lambda _fetch, **_: set())
    weights = ward.see(ward.add_holder(ALICE), 60, 61)
    ward.see(ward.add_holder(BOB), 80)
    ward.sync()
    ward.pretend.purge_obs(weights[0])
    ward.sync()
    rule.ends(ward.seen_by(ALICE), kept=["61"], taken_out=["60", "61"])


def swap(ward: Ward) -> None:
    """Ids n to n+3: Alice has the outer two, Bob the inner two; then each has the other's. Equal counts, equal
    sums."""
    alice, bob = ward.add_holder(ALICE), ward.add_holder(BOB)
    while ward.pretend.add_obs(alice, "pulse", 70.0) % 4 != 3:
        pass
    lives = ((alice, 60), (bob, 80), (bob, 81), (alice, 61))
    n = [ward.pretend.add_obs(owner, "weight", value) for owner, value in lives]
    assert n == list(range(n[0], n[0] + 4))
    ward.sync()
    for obs, owner in zip(n, (bob, alice, alice, bob), strict=True):
        ward.change_quietly(obs, person_id=owner)
    ward.sync()


def weights_of(ward: Ward, national_id: str) -> list[str]:
    return [value for value in ward.seen_by(national_id) if value != "70"]


@pytest.mark.usefixtures("deep_below")
def test_ids_are_summed_by_their_crc32(ward: Ward, rule: Rule) -> None:
    """T93: by count and sum alone Alice would go on seeing what is Bob's."""
    fingerprints = queries.fingerprints

    def by_sum_alone(*arguments: Any) -> str:
        key = queries.KEYS[arguments[1]][0]
        return fingerprints(*arguments).replace(f"SUM(CRC32({key}))", "0")

    rule.instead(queries, "fingerprints", by_sum_alone)
    swap(ward)
    found = (weights_of(ward, ALICE), weights_of(ward, BOB))
    rule.ends(found, kept=(["80", "81"], ["60", "61"]), taken_out=(["60", "61"], ["80", "81"]))


@pytest.mark.slow
@pytest.mark.usefixtures("deep_below")
def test_the_crc32s_are_summed_and_not_xored(ward: Ward, rule: Rule) -> None:
    """T93: CRC32 is linear under XOR, and neighbouring pairs of ids collide."""
    fingerprints = queries.fingerprints
    rule.instead(
        queries,
        "fingerprints",
        lambda *arguments: fingerprints(*arguments).replace("SUM(CRC32(", "BIT_XOR(CRC32("),
    )
    swap(ward)
    found = (weights_of(ward, ALICE), weights_of(ward, BOB))
    rule.ends(found, kept=(["80", "81"], ["60", "61"]), taken_out=(["60", "61"], ["80", "81"]))


def now_there(ward: Ward) -> dt.datetime:
    """The clock of the hospital's own server."""
    ((moment,),) = ward.pretend.execute("SELECT NOW()")
    assert isinstance(moment, dt.datetime)
    return moment


@pytest.mark.slow
def test_the_list_of_voided_ids_is_compared(ward: Ward, rule: Rule) -> None:
    """T19: a void moves nothing but columns of obs that no index holds, save `voided_by`."""
    rule.instead(watcher, "voided_obs", lambda _fetch, *, schema, before: (set(), before or b""))
    weights = ward.see(ward.add_holder(ALICE), 60, 61)
    ward.sync()
    ward.pretend.void_obs(weights[0])
    ward.sync()
    rule.ends(ward.seen_by(ALICE), kept=["61"], taken_out=["60", "61"])


@pytest.mark.slow
def test_the_list_of_voided_ids_is_compared_both_ways(ward: Ward, rule: Rule) -> None:
    """T20: an un-void leaves no trace but an id that is no longer in the list."""
    rule.reworded(watcher, "voided_obs", ("set(ids).symmetric_difference(old)", "set(ids).difference(old)"))
    weights = ward.see(ward.add_holder(ALICE), 60, 61)
    ward.pretend.void_obs(weights[0])
    ward.sync()
    ward.pretend.unvoid_obs(weights[0])
    ward.sync()
    rule.ends(ward.seen_by(ALICE), kept=["60", "61"], taken_out=["61"])


@pytest.mark.slow
def test_stamps_of_the_small_tables_are_looked_at(ward: Ward, rule: Rule) -> None:
    """What 1.x does when a form is saved: the obs shows nothing, its encounter's date_changed moves."""
    stamped = watcher.stamped

    def nobody(*arguments: Any, **options: Any) -> Any:
        return set(), stamped(*arguments, **options)[1]

    rule.instead(watcher, "stamped", nobody)
    (weight,) = ward.see(ward.add_holder(ALICE), 60)
    ward.sync()
    with ward.pretend.at(now_there(ward)):
        ward.pretend.edit_obs_in_place(weight, 61)
    ward.sync()
    rule.ends(ward.seen_by(ALICE), kept=["61"], taken_out=["60"])


@pytest.mark.slow
def test_stamps_are_looked_at_again_with_an_overlap(ward: Ward, rule: Rule) -> None:
    """T1, T91: an edit that was stamped an hour ago commits now; newer stamps were seen meanwhile."""
    rule.instead(watcher, "OVERLAP", dt.timedelta(0))
    (weight,) = ward.see(ward.add_holder(ALICE), 60)
    now = now_there(ward)
    with ward.pretend.at(now):
        ward.pretend.add_encounter(ward.add_holder(BOB))
    ward.sync()
    with ward.pretend.at(now - dt.timedelta(hours=1)):
        ward.pretend.edit_obs_in_place(weight, 61)
    ward.sync()
    rule.ends(ward.seen_by(ALICE), kept=["61"], taken_out=["60"])


@pytest.mark.slow
def test_a_stamp_in_the_future_does_not_put_the_watch_to_sleep(
    ward: Ward, rule: Rule, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T91: one row stamped 2099; then an ordinary edit. Two locks, and both are taken out."""
    rule.reworded(watcher, "stamped", ("latest = source_now + ANY_ZONE", "latest = dt.datetime(9000, 1, 1)"))
    if not rule.is_kept:
        # `min(seen, when we looked)`: of the two only what was seen
        monkeypatch.setattr(watcher, "min", lambda seen, _looked_at: seen, raising=False)
    (weight,) = ward.see(ward.add_holder(ALICE), 60)
    odd = ward.pretend.add_encounter(ward.add_holder(BOB))
    ward.pretend.update("encounter", odd, date_changed=dt.datetime(2099, 1, 1))
    ward.sync()
    with ward.pretend.at(now_there(ward)):
        ward.pretend.edit_obs_in_place(weight, 61)
    ward.sync()
    rule.ends(ward.seen_by(ALICE), kept=["61"], taken_out=["60"])


@pytest.mark.slow
@pytest.mark.usefixtures("deep_below")
def test_a_changed_encounter_marks_everyone_whose_rows_hang_on_it(ward: Ward, rule: Rule) -> None:
    """Alice's weight hangs on Bob's encounter, a contradiction; the encounter is corrected to be hers."""
    rule.reworded(
        watcher,
        "_persons_at",
        ('for table in ("encounter", "obs", "orders", "encounter_diagnosis"):', "for table in ():"),
    )
    rule.instead(watcher, "changed_fingerprints", lambda _fetch, **_: set())
    alice, bob = ward.add_holder(ALICE), ward.add_holder(BOB)
    encounter = ward.pretend.add_encounter(bob)
    ward.see(alice, 60, encounter=encounter)
    ward.sync()
    assert ParkedRow.objects.count() == 1
    with ward.pretend.at(now_there(ward)):
        ward.pretend.change("encounter", encounter, patient_id=alice)
    ward.sync()
    rule.ends(ward.seen_by(ALICE), kept=["60"], taken_out=[])


@pytest.mark.slow
@pytest.mark.usefixtures("deep_below")
def test_an_encounter_without_rows_marks_its_patient(ward: Ward, rule: Rule) -> None:
    """Its time is corrected, and nothing hangs on it that could tell."""
    rule.reworded(
        watcher,
        "_persons_at",
        (
            'for table in ("encounter", "obs", "orders", "encounter_diagnosis"):',
            'for table in ("obs", "orders", "encounter_diagnosis"):',
        ),
    )
    encounter = ward.pretend.add_encounter(ward.add_holder(ALICE))
    ward.sync()
    with ward.pretend.at(now_there(ward)):
        ward.pretend.change("encounter", encounter, encounter_datetime=dt.datetime(2020, 5, 17, 9, 30))
    ward.sync()
    at = Record.objects.get(table="encounter").at_local
    rule.ends(at, kept="2020-05-17 09:30:00", taken_out="2024-03-01 10:00:00")


@pytest.mark.slow
def test_the_deep_look_comes_by_itself_every_quarter_of_an_hour(ward: Ward, rule: Rule) -> None:
    """T91: and when our clock was ahead, at once."""
    rule.reworded(looks, "look", ("deep_at is None or not now - DEEP_EVERY < deep_at <= now", "deep_at is None"))
    weights = ward.see(ward.add_holder(ALICE), 60, 61)
    now = timezone.now()
    ward.sync(deep=None, now=now)
    ward.pretend.void_obs(weights[0])
    ward.sync(deep=None, now=now + dt.timedelta(minutes=14))
    assert ward.seen_by(ALICE) == ["60", "61"], "not before its time"
    ward.sync(deep=None, now=now + dt.timedelta(minutes=16))
    rule.ends(ward.seen_by(ALICE), kept=["61"], taken_out=["60", "61"])


@pytest.mark.slow
def test_an_entry_that_was_deleted_marks_who_used_it(ward: Ward, rule: Rule) -> None:
    """T82: the place is gone from the dictionary; its old name would be a guess."""
    rule.reworded(
        watcher,
        "users_of_changed_entries",
        ("changed += [entry_id for entry_id in old if entry_id not in entries]", "pass"),
    )
    place = ward.pretend.insert("location", name="Tent", description="", retired=0)
    encounter = ward.pretend.add_encounter(ward.add_holder(ALICE), location=place)
    ward.sync()
    ward.pretend.delete("location", place)
    ward.sync()
    shown = Record.objects.get(table="encounter", source_id=encounter).location
    rule.ends(shown, kept=f"Unknown location {place}", taken_out="Tent")


@pytest.mark.slow
def test_a_renamed_order_marks_whom_it_was_prescribed_to(ward: Ward) -> None:
    """T82: no hospital has an index on the concept of an order, so it is looked for among those whom we read."""
    ward.pretend.rename_concept("metformin", "Metformin", in_place=True)
    person = ward.add_holder(ALICE)
    order = ward.pretend.add_drug_order(person, None, encounter=ward.pretend.add_encounter(person))
    ward.pretend.update("orders", order, concept_id=ward.pretend.concept("metformin"))
    ward.sync()
    ward.pretend.rename_concept("metformin", "Metformine", in_place=True)
    ward.sync()
    assert Record.objects.get(table="orders").concept == "Metformine"


@pytest.mark.slow
def test_a_renewed_dictionary_marks_everybody(ward: Ward, rule: Rule, monkeypatch: pytest.MonkeyPatch) -> None:
    """T82: more entries than it is worth to look up."""
    monkeypatch.setattr(watcher, "MANY_ENTRIES", 0)
    rule.reworded(looks, "_look_deeper", ("links.mark_all(hospital=session.hospital, now=now)", "pass"))
    rule.ends(renamed(ward, "Body mass"), kept="Body mass", taken_out="Weight")


def renamed(ward: Ward, name: str) -> str:
    """The concept as Alice reads it, before it is called so by plain SQL, and after."""
    ward.see(ward.add_holder(ALICE), 60)
    ward.pretend.rename_concept("weight", "Weight", in_place=True)
    ward.sync()
    ward.pretend.rename_concept("weight", name, in_place=True)
    ward.sync()
    return Record.objects.get(table="obs").concept


def test_entries_of_the_dictionary_are_hashed(ward: Ward, rule: Rule) -> None:
    """T82: renamed by plain SQL, with no stamp."""
    rule.instead(watcher, "hash_dictionaries", lambda _fetch, **_: {})
    rule.ends(renamed(ward, "Body mass"), kept="Body mass", taken_out="Weight")


@pytest.mark.slow
def test_units_and_ranges_belong_to_the_entry(ward: Ward, rule: Rule) -> None:
    """T82: 93 units changed with no stamp between two real snapshots of one hospital."""
    rule.instead(watcher, "HASHED", {name: of for name, of in watcher.HASHED.items() if name != "concept_numeric"})
    ward.pretend.change_unit("weight", "kg")
    ward.see(ward.add_holder(ALICE), 60)
    ward.sync()
    ward.pretend.change_unit("weight", "lb")
    ward.sync()
    rule.ends(Record.objects.get(table="obs").unit, kept="lb", taken_out="kg")
    ward.pretend.change_unit("weight", "kg")


@pytest.mark.slow
def test_an_absent_value_is_hashed_too(ward: Ward, rule: Rule) -> None:
    """CONCAT_WS skips NULLs: a bound that was the upper one and is the lower one now would hash to the same."""
    dictionary_hashes = queries.dictionary_hashes

    def skipping_nulls(name: str) -> str:
        columns = "units, low_normal, hi_normal, low_critical, hi_critical"
        if name != "concept_numeric":
            return dictionary_hashes(name)
        hashed = f"SUM(CRC32(CONCAT_WS('|', {columns})))"
        return f"SELECT concept_id, COUNT(*), {hashed} FROM concept_numeric GROUP BY concept_id"

    rule.instead(queries, "dictionary_hashes", skipping_nulls)
    numeric = "UPDATE concept_numeric SET low_normal = %s, hi_normal = %s, low_critical = NULL, hi_critical = NULL"
    weight = f"{numeric} WHERE concept_id = {ward.pretend.concept('weight')}"
    ward.pretend.execute(weight, (None, 50))
    ward.see(ward.add_holder(ALICE), 60)
    ward.sync()
    ward.pretend.execute(weight, (50, None))
    ward.sync()
    record = Record.objects.get(table="obs")
    rule.ends((record.low, record.high), kept=(50, None), taken_out=(None, 50))


@pytest.mark.slow
def test_a_renamed_place_and_a_renamed_doctor_mark_who_was_seen_there(ward: Ward, rule: Rule) -> None:
    """T82"""
    rule.instead(
        watcher, "HASHED", {name: of for name, of in watcher.HASHED.items() if name not in ("location", "provider")}
    )
    person = ward.add_holder(ALICE)
    ward.pretend.rename_location("maternity", "Maternity")
    encounter = ward.pretend.add_encounter(person, location="maternity")
    ward.see(person, 60, encounter=encounter)
    ward.sync()
    ward.pretend.rename_location("maternity", "Ward 7")
    ward.sync()
    rule.ends(Record.objects.get(table="obs").location, kept="Ward 7", taken_out="Maternity")


@pytest.mark.slow
def test_a_renamed_doctor_marks_who_was_seen_by_them(ward: Ward, rule: Rule) -> None:
    """T82: no row of a history names the doctor but by way of its encounter."""
    rule.reworded(
        watcher,
        "users_of_changed_entries",
        ('if dictionary == "provider" and schema.has("encounter_provider"):', "if False:"),
    )
    person = ward.add_holder(ALICE)
    ward.pretend.rename_provider("nurse", "Grace", "Uwase")
    ward.see(person, 60, encounter=ward.pretend.add_encounter(person, provider="nurse"))
    ward.sync()
    ward.pretend.rename_provider("nurse", "Solange", "Ingabire")
    ward.sync()
    rule.ends(Record.objects.get(table="obs").provider, kept="Solange Ingabire", taken_out="Grace Uwase")


# ------------------------------------------------------------------------------------------------ sweep


def edited_without_a_trace(ward: Ward) -> list[str]:
    """What Alice sees a day and an hour after a value was changed by plain SQL."""
    now = timezone.now()
    (weight,) = ward.see(ward.add_holder(ALICE), 60)
    ward.sync(now=now)
    ward.change_quietly(weight, value_numeric=61)
    ward.sync(now=now + dt.timedelta(hours=ward.hospital.sweep_hours, minutes=1))
    return ward.seen_by(ALICE)


def test_everyone_is_read_again_within_the_sweep(ward: Ward, rule: Rule) -> None:
    """T66, T69, T82: the promise behind all others: whatever the watch does not see ends here."""
    rule.reworded(links, "due", (" | Q(refreshed_at__lte=swept_before)", ""))
    rule.ends(edited_without_a_trace(ward), kept=["61"], taken_out=["60"])


@pytest.mark.slow
def test_the_sweep_is_not_gated_by_a_digest_of_less_than_everything(ward: Ward, rule: Rule) -> None:
    """T82: the set of ids of this person is what it was, so a sweep that asks for that first never reads them."""
    refresh_all = pipeline._refresh_all

    def only_those_with_other_ids(session: Any, counts: Any, *, link_ids: Any, **more: Any) -> bool:
        fingerprints = dict(
            Link.objects.filter(pk__in=link_ids).exclude(refreshed_at=None).values_list("person_id", "fingerprint")
        )
        changed = watcher.changed_fingerprints(session.source.fetch, schema=session.schema, fingerprints=fingerprints)
        never_read = Link.objects.filter(pk__in=link_ids, refreshed_at=None)
        wanted = list((Link.objects.filter(person_id__in=changed) | never_read).values_list("pk", flat=True))
        return refresh_all(session, counts, link_ids=wanted, **more)

    rule.instead(pipeline, "_refresh_all", only_those_with_other_ids)
    rule.ends(edited_without_a_trace(ward), kept=["61"], taken_out=["60"])
