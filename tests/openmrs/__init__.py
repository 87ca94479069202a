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
"""
