"""Pretend OpenMRS hospitals on a private MariaDB, for tests and `./run demo`.  Nothing here imports Django.

    with MariaDBServer() as server:                       # tests.openmrs.server
        hospital = PretendHospital(server, "kigali", "2.6").create()
        alice = hospital.add_person(national_id="1199080012345678", sex="F", birth_date=date(1990, 5, 1))
        encounter = hospital.add_encounter(alice, provider="mukamana")
        weight = hospital.add_obs(alice, "weight", 61.5, encounter=encounter)
        hospital.void_obs(weight)

server.py    MariaDBServer(*, data_dir=None, port=None, version=None, extra_args=(), durable=False)
    .host .port .socket .pid .is_running .log
    start() stop() kill() freeze() thaw() close()          stop() then start(): same port, same content
    start_with_tls(*, names=("127.0.0.1", "localhost")) -> Path of the CA certificate
    connect(database=None, *, user="root", password="", autocommit=True, **mysqldb_options)
                                                           root by socket only, everyone else by TCP
    execute(sql, arguments=(), *, database=None) -> list of rows
    create_database(name, *, charset="utf8mb4") drop_database(name)
    grant_reader(user, password, database)  grant_writer(user, password, database)
    grant(user, password, privileges, target)
    load_sql_gz(path, database)
    ServerMissing, ServerFailed; find_program(name); free_port(); make_certificates(folder, *, names)

hospital.py  PretendHospital(server, database, version="2.6", *, seed=None, name="…", time_zone="Africa/Kigali")
    versions: "1.9" "1.12" "2.0" "2.3" "2.6" "2.8" (ddl.VERSIONS; those between work too)
    seed: makes uuids and staff; two hospitals of one seed share uuids, as clones of one template do
    .open() -> self      take up a database that another process created
    .create() -> self    tables, dictionary, staff, places, identifier types; no patient
    .grant_reader(user="passport", password="…") -> dict(host, port, database, username, password)
    .clock: () -> naive datetime in the hospital's zone   `with hospital.at(moment):` stops it there
    one thread per hospital object: another thread takes PretendHospital(…).open(), or transaction()
    `with hospital.transaction() as late:`  the same verbs on a second connection, committed at the end of the
        block (or by late.commit(), late.rollback()): late commits
    `with hospital.bulk():`  add_* verbs are collected and written in one go
  Look-ups, by the keys in dictionary.py (an int goes through, so ids can always be given):
    concept(key) drug(key) location(key) provider(key) encounter_type(key) visit_type(key) identifier_type(name)
    concepts: "weight" "height" "temperature" "pulse" "systolic" "diastolic" "respiration" "oxygen" "hba1c"
      "fasting glucose" "haemoglobin" "malaria rdt" "diabetes" "hypertension" "malaria" "penicillin" "note" "smoker" …
    providers: "physician" "nurse" "midwife" "lab" (no person name, only provider.name) "retired"
    locations: "hospital" (the root) "opd" "emergency" "maternity" "lab" "unknown"
    identifier types: "OpenMRS ID" "National ID" "Old Identification Number"; national_id_type_uuid
  Verbs (all commit, all return the new id; PERSON, ENCOUNTER … are ids; `at` is clinical time, default the clock):
    add_person(*, national_id=None, sex="F", birth_date=date(1990, 1, 1), birth_date_estimated=False, given="Test",
        family="Person", is_patient=True, **columns) -> person_id
    add_identifier(person, identifier, *, type="National ID", preferred=False)  change_identifier(id, identifier)
    void_identifier(id)  unvoid_identifier(id)  move_identifier(id, to_person)
    identifiers_of(person, type="National ID") -> ids of the live ones
    add_visit(person, *, type="outpatient", location="opd", started=None, stopped=None)  close_visit(visit, at=None)
    add_encounter(person, *, type="consultation", provider="physician", visit=None, location="opd", at=None)
    add_encounter_provider(encounter, provider)  move_encounter(encounter, to_person)  change_encounter(encounter, at=)
    add_obs(person, concept, value=None, *, encounter=None, group=None, at=None, location=None, **columns)
        the column follows from the concept's datatype: number, text, date, bool, concept key or id;
        or name it: value_text=…, value_coded=…, comments=…, interpretation=…, order_id=…
    edit_obs(obs, value, **columns) -> new id (void + new with previous_version)
    edit_obs_in_place(obs, value, **columns)   no stamp on obs, as 1.x does
    void_obs(obs) unvoid_obs(obs) purge_obs(obs)                     with their group members
    void_encounter unvoid_encounter purge_encounter void_visit unvoid_visit (id): cascade as OpenMRS does
    void_patient(person)  unvoid_patient(person) purge_patient(person)  merge_patients(winner, loser) -> log id
    add_drug_order(person, drug="metformin", *, encounter, orderer="physician", at=None, days=None, dose=1,
        dose_units="tablet", frequency="twice daily", non_coded=None, **columns) -> order_id
    add_test_order(person, concept, *, encounter, …)  stop_order(order, at=None) -> id of the DISCONTINUE row
    revise_order(order, **columns) -> new id  void_order(order)
    add_diagnosis(person, concept_or_text, *, encounter, certainty="CONFIRMED", rank=1)   2.2+
    edit_diagnosis(id, **columns)  void_diagnosis(id)
    add_obs_group_diagnosis(person, concept_or_text, *, encounter, certainty="Confirmed", rank="Primary") -> group
    migrate_obs_group_diagnosis(group) -> diagnosis_id   as emrapi does: group voided, back-dated row
    add_condition(person, concept_or_text, *, status="ACTIVE", onset=None, …)  edit_condition(id, **columns) -> new id
    void_condition(id)
    add_allergy(person, allergen_or_text, *, severity="severe", reactions=("hives",), type="DRUG", comment=None)
    edit_allergy(id, **columns) -> new id  void_allergy(id)
    rename_concept(concept, name, locale="en", in_place=False)  change_unit(concept, units)  change_range(concept, **c)
    rename_location(location, name)  rename_provider(provider, given, family)
  Anything else, as an administrator's SQL does (no stamp moves):
    insert(table, **columns) -> id   update(table, id, **columns)   delete(table, id)
    void(table, id, reason=…)  unvoid(table, id)   one row alone; date_changed moves where the table has one
    execute(sql, arguments=()) -> rows
    row(table, id) -> dict   rows(table, **where) -> list of dicts   count(table, **where) -> int
  A table or column that the version does not have raises NotInThisVersion.

people.py    make_people(*, seed=7, today) -> 60 SyntheticPerson(given, family, sex, birth_date, national_id,
                 has_passport, hospitals, stories, variants); the 25 who hold a passport stand first, CAST first of all
             people_at(people, place) -> those at OLD or MODERN
             fill(hospital, people, place, *, until, years=4) -> {national_id: person_id}, in 0.4 s
doctor.py    DemoDoctor(hospital, person_ids, *, seed=1).act() -> "added" | "corrected" | "voided" | "un-voided"
proxy.py     Proxy(server) with .port: a line that black-holes, drips, cuts, refuses, delays; DeafPort: no answer at all
upgrade.py   upgrade(hospital, version) -> hospital   dump(hospital) -> backup   restore(hospital, backup)
real.py      folder() -> Path or None; DEMOS, SCHEMAS; path_of(name); load(server, name, database);
             columns() -> {version: {(table, column)}}
ddl.py       VERSIONS; tables_of(version), columns_of(table, version), create_statements(version), order(version)
"""
