"""What a database does for a client, each kind in its own function: it computes, it sleeps, it waits for a lock that
another session holds. The truth of its CPU time is what the kernel says of the process (or thread) that served it.
variants: postgres mariadb redis"""
import os, re, signal, socket, subprocess, sys, threading, time
import selftime
from selftime import sect

HERE = os.path.dirname(os.path.abspath(__file__))
PLACE = open(os.path.join(HERE, "..", "w33_databases", ".place")).read().strip()
VARIANT = sys.argv[1]
LOG = os.path.join(os.environ.get("TMPDIR", "/tmp"), "perfmap-w48-%d.log" % os.getpid())
SERVED = {}
HOLD_S = 0.4


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


def cpu_ms(task):
    """Of all threads of a process, or of one thread of it."""
    own = ["/proc/%s/schedstat" % task] if "/" in task else \
        ["/proc/%s/task/%s/schedstat" % (task, t) for t in os.listdir("/proc/%s/task" % task)]
    return sum(int(open(path).read().split()[0]) for path in own) / 1e6


def queued_ms():
    """What this thread waited for a CPU."""
    return int(open("/proc/thread-self/schedstat").read().split()[1]) / 1e6


class served(sect):
    """And the CPU time of the server meanwhile, and how long the client, which was to be answered, had to wait for a CPU."""
    __slots__ = ("task", "before", "queued")

    def __init__(self, name, task):
        super().__init__(name)
        self.task = task

    def __enter__(self):
        self.before, self.queued = cpu_ms(self.task), queued_ms()
        super().__enter__()

    def __exit__(self, *a):
        super().__exit__(*a)
        queued = queued_ms() - self.queued
        SERVED[self.n] = dict(cpu_ms=round(cpu_ms(self.task) - self.before, 2), queued_ms=round(queued, 2))


PORT = free_port()


# PostgreSQL

def postgres_session():
    import psycopg
    return psycopg.connect(host="127.0.0.1", port=PORT, user="perfmap", dbname="postgres", autocommit=True)


def count_numbers(c, task):
    with served("count_numbers", task):
        for _ in range(3):
            c.execute("select count(*) from generate_series(1, 700000)").fetchall()


def nap(c, task):
    with served("nap", task):
        for _ in range(3):
            c.execute("select pg_sleep(0.1)").fetchall()


def change_row(c, task, statement):
    with served("change_row", task):
        c.execute(statement)


def hold_row(c, statement, held):
    """Another session, which keeps the row for a while."""
    c.execute("begin")
    c.execute(statement)
    held.set()
    with sect("hold_row"):
        time.sleep(HOLD_S)
    c.execute("commit")


def rows(session, c, task, change):
    other, held = session(), threading.Event()
    holder = threading.Thread(target=hold_row, args=(other, change, held))
    holder.start()
    held.wait()
    change_row(c, task, change)
    holder.join()
    other.close()


def ask_postgres():
    binary = sorted(subprocess.getoutput("ls /usr/lib/postgresql/*/bin/postgres").split())[-1]
    server = serve(binary, "-D", PLACE + "/postgres", "-p", str(PORT), "-k", PLACE, "-c", "fsync=off",
                   "-c", "autovacuum=off", "-c", "jit=off", "-c", "max_parallel_workers_per_gather=0")
    until("ready to accept connections")
    c = postgres_session()
    c.execute("drop table if exists held")
    c.execute("create table held (id int, n int)")
    c.execute("insert into held values (1, 0)")
    task = str(c.info.backend_pid)
    count_numbers(c, task)
    nap(c, task)
    rows(postgres_session, c, task, "update held set n = n + 1 where id = 1")
    c.close()
    server.send_signal(signal.SIGINT)
    server.wait()


# MariaDB

class Session:
    def __init__(self):
        import pymysql
        self.c = pymysql.connect(host="127.0.0.1", port=PORT, user="root", autocommit=True)

    def execute(self, statement):
        k = self.c.cursor()
        k.execute(statement)
        return k

    def close(self):
        self.c.close()


def add_numbers(c, task):
    with served("add_numbers", task):
        c.execute("select sum(crc32(seq)) from d.seq_1_to_3000000").fetchall()


def doze(c, task):
    with served("doze", task):
        c.execute("select sleep(0.3)").fetchall()


def ask_mariadb():
    server = serve("mariadbd", "--no-defaults", "--datadir=" + PLACE + "/mariadb", "--port=%d" % PORT,
                   "--bind-address=127.0.0.1", "--socket=" + PLACE + "/mariadb-%d.sock" % PORT,
                   "--pid-file=" + PLACE + "/mariadb-%d.pid" % PORT, "--innodb-flush-log-at-trx-commit=0")
    until("ready for connections")
    c = Session()
    c.execute("drop database if exists d")
    c.execute("create database d")
    c.execute("create table d.held (id int primary key, n int) engine=innodb")
    c.execute("insert into d.held values (1, 0)")
    task = str(server.pid)
    add_numbers(c, task)
    doze(c, task)
    rows(Session, c, task, "update d.held set n = n + 1 where id = 1")
    c.close()
    server.terminate()
    server.wait()


# Redis

def run_script(r, task):
    with served("run_script", task):
        r.eval("local x = 0 for i = 1, 6000000 do x = (x * 31 + i) % 65521 end return x", 0)


def wait_for_item(r, task):
    with served("wait_for_item", task):
        r.blpop("queue", timeout=10)


def make_item(port):
    """In a process of its own: in a thread it would keep the interpreter from who waits for the item. Begins when told to."""
    import redis as client
    r = client.Redis(port=port, lib_name=None, lib_version=None)
    r.ping()
    print("ready", flush=True)
    sys.stdin.readline()
    selftime.busy_cpu(200)
    r.rpush("queue", "x")
    r.close()


def ask_redis():
    import redis as client
    server = serve("redis-server", "--port", str(PORT), "--bind", "127.0.0.1", "--save", "")
    until("eady to accept connections")
    r = client.Redis(port=PORT, lib_name=None, lib_version=None)
    r.ping()
    task = str(server.pid)
    run_script(r, task)
    words = (sys.executable, os.path.abspath(__file__), "make", str(PORT))
    maker = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    maker.stdout.readline()
    maker.stdin.write(b"go\n")
    maker.stdin.flush()
    wait_for_item(r, task)
    maker.wait()
    r.close()
    server.terminate()
    server.wait()


if __name__ == "__main__":
    if VARIANT == "make":
        make_item(int(sys.argv[2]))
        sys.exit()
    {"postgres": ask_postgres, "mariadb": ask_mariadb, "redis": ask_redis}[VARIANT]()
    os.unlink(LOG)
    names = sorted(set(SERVED) | {"hold_row"} & set(selftime.ACC))
    selftime.finish("w48_backends", VARIANT, functions=[selftime.fn(name) for name in names], served=SERVED)
