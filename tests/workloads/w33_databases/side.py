"""Threads side by side at PostgreSQL, with the rate that they measure themselves.
   pool5     32 threads take turns at SQLAlchemy's pool of 5 connections: 15 ms away from it, 15 ms with one
   rowlock    8 threads change one row, each in a transaction: 10 ms elsewhere, 6 ms between the change and its end"""
import json, os, signal, sys, threading, time
import client

VARIANT = sys.argv[1]


def in_threads(count, items, work):
    ready = threading.Barrier(count + 1)

    def worker():
        ready.wait()
        for _ in range(items):
            work()

    threads = [threading.Thread(target=worker) for _ in range(count)]
    for thread in threads:
        thread.start()
    ready.wait()
    start = time.perf_counter()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - start
    truth = dict(variant=VARIANT, workers=count, items=count * items, seconds=seconds, rate=count * items / seconds)
    with open(os.path.join(os.environ["TRUTH_DIR"], "w33_databases.%s.json" % VARIANT), "w") as out:
        json.dump(truth, out)


def fetch(seconds):
    time.sleep(seconds)


def store(engine, statement):
    with engine.connect() as connection:
        connection.execute(statement)


def pool5():
    from sqlalchemy import create_engine, text
    engine = create_engine("postgresql+psycopg://perfmap@127.0.0.1:%d/postgres" % client.PORT, pool_size=5,
                           max_overflow=0, isolation_level="AUTOCOMMIT", pool_reset_on_return=None)
    # Connections are made before the others start.
    for connection in [engine.connect() for _ in range(5)]:
        connection.close()
    statement = text("select pg_sleep(0.015)")

    def work():
        fetch(0.015)
        store(engine, statement)

    in_threads(32, 12, work)
    engine.dispose()


def change_row(connection):
    connection.execute("begin")
    connection.execute("update counter set n = n + 1 where id = 1")
    connection.execute("select pg_sleep(0.006)")
    connection.execute("commit")


def rowlock():
    first = client.connect()
    first.execute("drop table if exists counter")
    first.execute("create table counter (id int primary key, n int)")
    first.execute("insert into counter values (1, 0)")
    own = threading.local()

    def work():
        if not hasattr(own, "connection"):
            own.connection = client.connect()
        fetch(0.010)
        change_row(own.connection)

    in_threads(8, 30, work)
    first.close()


server = client.start_postgres()
globals()[VARIANT]()
server.send_signal(signal.SIGINT)
server.wait()
os.unlink(client.LOG)
