"""Round trips to real servers, each kind in its own function. The truth is what the server says: PostgreSQL's log of
statements, Redis' and memcached's statistics, MariaDB's Questions. The server is this program's child, on a free port.
variants: postgres postgres_unix sqlalchemy redis redis_unix mariadb mariadb_compressed memcached memcached_binary"""
import os, re, signal, socket, subprocess, sys, time
import selftime
from selftime import sect

HERE = os.path.dirname(os.path.abspath(__file__))
PLACE = open(os.path.join(HERE, ".place")).read().strip()
VARIANT = sys.argv[1]
N = int(os.environ.get("WL_N", "20"))
COUNTS = {}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def serve(*words):
    """Servers refuse to be root; and they end with this program, however it ends."""
    user = ("--reuid=nobody", "--regid=nogroup", "--clear-groups") if os.geteuid() == 0 else ()
    log = open(LOG, "wb")
    return subprocess.Popen(("setpriv", "--pdeathsig=TERM") + user + words, stdout=log, stderr=log, cwd=PLACE)


def until(said):
    for _ in range(600):
        if re.search(said, open(LOG, errors="replace").read()):
            return
        time.sleep(0.05)
    sys.exit("the server did not start: " + open(LOG, errors="replace").read())


def counted(function, count):
    COUNTS[function] = count


PORT = free_port()
LOG = os.path.join(os.environ.get("TMPDIR", "/tmp"), "perfmap-w33-%d.log" % os.getpid())


# PostgreSQL

def start_postgres():
    binary = sorted(subprocess.getoutput("ls /usr/lib/postgresql/*/bin/postgres").split())[-1]
    server = serve(binary, "-D", PLACE + "/postgres", "-p", str(PORT), "-k", PLACE, "-c", "fsync=off",
                   "-c", "log_statement=all", "-c", "log_min_error_statement=panic", "-c", "autovacuum=off")
    until("ready to accept connections")
    return server


def logged():
    return len(re.findall(r"LOG:  (?:statement|execute [^:]*):", open(LOG, errors="replace").read()))


def connect():
    import psycopg
    host = PLACE if VARIANT == "postgres_unix" else "127.0.0.1"
    return psycopg.connect(host=host, port=PORT, user="perfmap", dbname="postgres", autocommit=True)


def prepare_table(c):
    with sect("prepare_table"):
        c.execute("drop table if exists things")
        c.execute("create table things (id int, name text)")
    counted("prepare_table", 2)


def one_by_one(c):
    with sect("one_by_one"):
        for i in range(N):
            c.execute("select name from things where id = %s", (i,)).fetchall()
    counted("one_by_one", N)


def pipelined(c):
    with sect("pipelined"):
        with c.pipeline():
            for i in range(N):
                c.execute("insert into things values (%s, %s)", (i, "secret %d" % i))
    counted("pipelined", N)


def many(c):
    with sect("many"):
        c.cursor().executemany("insert into things values (%s, %s)", [(i, "secret") for i in range(N)])
    counted("many", N)


def copied(c):
    with sect("copied"):
        with c.cursor().copy("copy things from stdin") as copy:
            for i in range(N):
                copy.write_row((i, "x" * 1000))
        with c.cursor().copy("copy things to stdout") as copy:
            for _ in copy:
                pass
    counted("copied", 2)


def large(c):
    with sect("large"):
        for _ in range(3):
            c.execute("select repeat('x', 500), g from generate_series(1, 2000) g").fetchall()
    counted("large", 3)


def slow(c):
    with sect("slow"):
        for _ in range(10):
            c.execute("select pg_sleep(0.06)")
    counted("slow", 10)


def transaction(c):
    with sect("transaction"):
        with c.transaction():
            c.execute("update things set name = 'y' where id = 1")
    counted("transaction", 3)


def refused(c):
    """An error is an answer all the same."""
    with sect("refused"):
        try:
            c.execute("select nothing from things")
        except Exception:
            pass
    counted("refused", 1)


def postgres():
    server = start_postgres()
    c = connect()
    for step in (prepare_table, one_by_one, pipelined, many, copied, large, transaction, refused, slow):
        step(c)
    c.close()
    total = logged()
    server.send_signal(signal.SIGINT)
    server.wait()
    return "postgresql", total


def orm_session(engine, text):
    with sect("orm_session"):
        with engine.connect() as c:
            for i in range(N):
                c.execute(text("select :x + 1"), {"x": i}).scalar()


def sqlalchemy():
    server = start_postgres()
    from sqlalchemy import create_engine, text
    engine = create_engine("postgresql+psycopg://perfmap@127.0.0.1:%d/postgres" % PORT)
    engine.connect().close()
    before = logged()
    orm_session(engine, text)
    # The statements, and those around them that the ORM makes by itself.
    counted("orm_session", logged() - before)
    assert logged() - before >= N + 2, (before, logged())
    engine.dispose()
    total = logged()
    server.send_signal(signal.SIGINT)
    server.wait()
    return "postgresql", total


# Redis

def sets_and_gets(r):
    with sect("sets_and_gets"):
        for i in range(N):
            r.set("key:%d" % i, "secret")
            r.get("key:%d" % i)


def pipelines(r):
    with sect("pipelines"):
        for _ in range(5):
            p = r.pipeline(transaction=False)
            for _ in range(N):
                p.incr("n")
            p.execute()


def transactions(r):
    with sect("transactions"):
        p = r.pipeline(transaction=True)
        p.hset("h", mapping={"a": 1})
        p.hgetall("h")
        p.execute()


def redis():
    import redis as client
    path = os.path.join(PLACE, "redis-%d.sock" % PORT)
    server = serve("redis-server", "--port", str(PORT), "--bind", "127.0.0.1", "--save", "", "--unixsocket", path)
    until("eady to accept connections")
    # Without its greeting, which servers before 7.2 refuse and do not count.
    quiet = dict(lib_name=None, lib_version=None)
    r = client.Redis(unix_socket_path=path, **quiet) if VARIANT == "redis_unix" else client.Redis(port=PORT, **quiet)
    r.ping()
    before = calls(r)
    sets_and_gets(r)
    counted("sets_and_gets", 2 * N)
    pipelines(r)
    counted("pipelines", 5 * N)
    transactions(r)
    counted("transactions", 4)
    # A look is counted by the next one only.
    total = calls(r) + 1
    assert total - before == 2 * N + 5 * N + 4 + 2, (before, total)
    r.close()
    server.terminate()
    server.wait()
    return "redis", total


def calls(r):
    stats = r.info("commandstats")
    # What is refused is counted apart from calls.
    return sum(s["calls"] + s.get("rejected_calls", 0) for s in stats.values())


# MariaDB

def questions(c):
    k = c.cursor()
    k.execute("show session status like 'Questions'")
    return int(k.fetchone()[1])


def inserts(c):
    with sect("inserts"):
        k = c.cursor()
        for i in range(N):
            k.execute("insert into d.t values (%s, %s)", (i, "it's secret"))
        c.commit()


def selects(c):
    with sect("selects"):
        k = c.cursor()
        for i in range(N):
            k.execute("select id, name from d.t where id >= %s", (i,))
            k.fetchall()
        k.execute("select repeat('x', 500), seq from d.seq_1_to_2000")
        k.fetchall()


def many_results(c):
    with sect("many_results"):
        k = c.cursor()
        for _ in range(5):
            k.execute("select 1; select 2; select 3")
            while k.nextset():
                pass


def mariadb():
    import pymysql
    from pymysql.constants import CLIENT
    server = serve("mariadbd", "--no-defaults", "--datadir=" + PLACE + "/mariadb", "--port=%d" % PORT,
                   "--bind-address=127.0.0.1", "--socket=" + PLACE + "/mariadb-%d.sock" % PORT,
                   "--pid-file=" + PLACE + "/mariadb-%d.pid" % PORT, "--innodb-flush-log-at-trx-commit=0")
    until("ready for connections")
    c = pymysql.connect(host="127.0.0.1", port=PORT, user="root", client_flag=CLIENT.MULTI_STATEMENTS)
    if VARIANT == "mariadb_compressed":
        c.close()
        total = compressed()
        server.terminate()
        server.wait()
        return "mysql", total + CONNECTING
    k = c.cursor()
    k.execute("drop database if exists d")
    k.execute("create database d")
    k.execute("create table d.t (id int, name varchar(50))")
    inserts(c)
    counted("inserts", N + 1)
    selects(c)
    counted("selects", N + 1)
    before = questions(c)
    many_results(c)
    # The server counts each statement in a query, the network has one round trip for all.
    counted("many_results", 5)
    after = questions(c)
    assert after - before == 5 * 3 + 1, (before, after)
    c.ping()
    total = after - 5 * 2
    c.close()
    server.terminate()
    server.wait()
    return "mysql", total


# What PyMySQL asks for when it connects.
CONNECTING = 2


def compressed():
    """The command-line client, which can compress; its last question is how many it asked."""
    text = ["select repeat('x', 3000), repeat('secret', 5)", "select repeat(sha2(seq, 512), 20) from seq_1_to_300"] * N
    text.append("show session status like 'Questions'")
    out = subprocess.check_output(["mariadb", "--no-defaults", "--compress", "-h", "127.0.0.1", "-P", str(PORT), "-u",
                                   "root", "-N", "mysql"], input=";\n".join(text).encode() + b";\n")
    return int(out.split()[-1])


# memcached

def packet(opcode, extras=b"", key=b"", value=b""):
    import struct
    body = extras + key + value
    return struct.pack("!BBHBBHIIQ", 0x80, opcode, len(key), len(extras), 0, 0, len(body), 0, 0) + body


def answered(s):
    """One answer's opcode and body."""
    import struct
    head = s.recv(24, socket.MSG_WAITALL)
    length = struct.unpack("!I", head[8:12])[0]
    return head[1], s.recv(length, socket.MSG_WAITALL) if length else b""


def binary_items(s):
    with sect("binary_items"):
        for i in range(N):
            key = b"k%d" % i
            s.sendall(packet(1, b"\0" * 8, key, b"secret" * 500))
            answered(s)
            s.sendall(packet(0, key=key))
            assert len(answered(s)[1]) == 4 + 3000


def binary_many(s):
    """As libmemcached does: quiet questions for many keys, and one that is answered in any case."""
    with sect("binary_many"):
        for _ in range(3):
            s.sendall(b"".join(packet(0x0d, key=b"k%d" % i) for i in range(N)) + packet(0x0a))
            while answered(s)[0] != 0x0a:
                pass


def binary_statistics(s):
    s.sendall(packet(0x10))
    stats = {}
    while True:
        head = s.recv(24, socket.MSG_WAITALL)
        key, length = int.from_bytes(head[2:4], "big"), int.from_bytes(head[8:12], "big")
        if length == 0:
            return stats
        body = s.recv(length, socket.MSG_WAITALL)
        stats[body[:key]] = int(body[key:]) if body[key:].isdigit() else body[key:]


def memcached():
    from pymemcache.client.base import Client
    server = serve("memcached", "-p", str(PORT), "-l", "127.0.0.1", "-U", "0")
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", PORT)).close()
            break
        except OSError:
            time.sleep(0.05)
    if VARIANT == "memcached_binary":
        with socket.create_connection(("127.0.0.1", PORT)) as s:
            binary_items(s)
            binary_many(s)
            stats = binary_statistics(s)
        assert stats[b"cmd_get"] == N + 3 * N and stats[b"cmd_set"] == N, stats
        counted("binary_items", 2 * N)
        counted("binary_many", 3)
        server.terminate()
        server.wait()
        return "memcached", 2 * N + 3 + 1
    c = Client(("127.0.0.1", PORT))
    items(c)
    silent(c)
    stats = c.stats()
    assert stats[b"cmd_get"] == N + 1 and stats[b"cmd_set"] == 2 * N, stats
    counted("items", 2 * N)
    counted("silent", 1)
    c.close()
    server.terminate()
    server.wait()
    # And the look at the statistics.
    return "memcached", 2 * N + 2


def items(c):
    with sect("items"):
        for i in range(N):
            c.set("k%d" % i, "secret" * 500, noreply=False)
            c.get("k%d" % i)


def silent(c):
    with sect("silent"):
        for i in range(N):
            c.set("k%d" % i, "secret", noreply=True)
        c.get("k0")


if __name__ == "__main__":
    kind = VARIANT.split("_")[0]
    protocol, total = {"postgres": postgres, "sqlalchemy": sqlalchemy, "redis": redis, "mariadb": mariadb,
                       "memcached": memcached}[kind]()
    os.unlink(LOG)
    selftime.finish("w33_databases", VARIANT, functions=[selftime.fn(name) for name in COUNTS],
                    databases=dict(protocol=protocol, round_trips=total, functions=COUNTS,
                                   port=None if VARIANT.endswith("_unix") else PORT))
