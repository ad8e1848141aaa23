"""Pairs of programs: one with a fault, and one that does the same without. RULE.bad and RULE.good, about a second each.
RULE.fixed does the very work of RULE.bad after the fix that its hint names; the truth's `work` is what both take.

hot_function  one function computes for most of the time | eight functions share the work
remote_cpu    a service computes while its caller waits | it waits as long itself
lock          four threads sleep with a lock in hand | they sleep before they take it
database      four threads keep a SQLite transaction open while they work | they work first
gil           four threads compute | one does, the others wait for answers
queue         three processes for each CPU compute | one does for a short time, and sleeps
"""
import http.client, multiprocessing, os, sqlite3, subprocess, sys, tempfile, threading, time
import selftime
from selftime import sect

RULES = {
    "hot_function": ["cpu_bound_hot_function"],
    "remote_cpu": ["remote_service_cpu_bound"],
    "lock": ["lock_contention"],
    "database": ["database_write_lock"],
    "gil": ["gil_contention", "cpu_contention"],
    "queue": ["cpu_contention"],
}
HERE = os.path.dirname(os.path.abspath(__file__))
RULE, KIND = sys.argv[1].split(".")
BAD, FIXED = KIND == "bad", KIND == "fixed"


def burn(ms):
    end, x = time.thread_time_ns() + ms * 1_000_000, 1
    while time.thread_time_ns() < end:
        for _ in range(200):
            x = (x * 1103515245 + 12345) & 0x7FFFFFFF
    return x


def in_threads(count, target):
    threads = [threading.Thread(target=target) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def parse_all():
    end, x = time.thread_time_ns() + 800_000_000, 1
    while time.thread_time_ns() < end:
        for _ in range(200):
            x = (x * 1103515245 + 12345) & 0x7FFFFFFF
    return x


def part(n):
    """A function of its own for each part of the work: the source is the same, the names are not."""
    text = ("def part_%d():\n    end, x = now() + 100_000_000, 1\n    while now() < end:\n"
            "        for _ in range(200):\n            x = (x * 1103515245 + 12345) & 0x7FFFFFFF\n    return x\n") % n
    scope = {"now": time.thread_time_ns}
    exec(compile(text, os.path.join(HERE, "part_%d.py" % n), "exec"), scope)
    return scope["part_%d" % n]


def hot_function():
    if BAD:
        parse_all()
    else:
        for n in range(8):
            part(n)()


def remote_cpu():
    how = "think" if BAD else "wait"
    server = subprocess.Popen([sys.executable, os.path.join(HERE, "server.py"), how, "200"], stdout=subprocess.PIPE)
    try:
        connection = http.client.HTTPConnection("127.0.0.1", int(server.stdout.readline()))
        for _ in range(4):
            connection.request("GET", "/")
            assert connection.getresponse().read() == b"done"
    finally:
        server.terminate()
        server.wait()


def lock():
    shared = threading.Lock()

    def work():
        own = threading.Lock()
        for _ in range(20):
            if BAD or FIXED:
                with own if FIXED else shared:
                    time.sleep(0.01)
            else:
                time.sleep(0.04)
                with shared:
                    pass

    in_threads(4, work)


def database():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "store.db")
        first = sqlite3.connect(path)
        first.executescript("pragma synchronous=off; create table r(i)")
        first.close()

        def work():
            own = sqlite3.connect(path, timeout=60, isolation_level=None)
            own.execute("pragma synchronous=off")
            for i in range(12):
                if not BAD:
                    time.sleep(0.015 if FIXED else 0.06)
                own.execute("begin immediate")
                own.execute("insert into r values(?)", (i,))
                if BAD:
                    time.sleep(0.015)
                own.execute("commit")
            own.close()

        in_threads(4, work)


def gil():
    if BAD:
        in_threads(4, lambda: burn(250))
    elif FIXED:
        children = [multiprocessing.Process(target=burn, args=(250,)) for _ in range(4)]
        for child in children:
            child.start()
        for child in children:
            child.join()
    else:
        waiting = [threading.Thread(target=time.sleep, args=(1,)) for _ in range(3)]
        for thread in waiting:
            thread.start()
        burn(250)
        for thread in waiting:
            thread.join()


def queue():
    if FIXED:
        sys.exit("queue has no fix but more CPUs")
    count = 3 * len(os.sched_getaffinity(0)) if BAD else 1
    code = "import time\nend = time.process_time() + %s\nwhile time.process_time() < end: pass\n" % (0.2 if BAD else 0.05)
    children = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(count)]
    if not BAD:
        time.sleep(1)
    for child in children:
        assert child.wait() == 0


def queued():
    """Share of this thread's life in which it was ready to run but had no CPU: others may use the machine as well."""
    with open("/proc/self/schedstat") as f:
        waited = int(f.read().split()[1]) / 1e9
    with open("/proc/self/stat") as f:
        began = int(f.read().rsplit(")", 1)[1].split()[19]) / os.sysconf("SC_CLK_TCK")
    with open("/proc/uptime") as f:
        return waited / max(float(f.read().split()[0]) - began, 0.01)


with sect(RULE):
    globals()[RULE]()
# Where the machine itself is short of CPUs the good twin is short of them too.
unsure = {"cpu_contention"} if not BAD and queued() > 0.1 else set()
selftime.finish("w72_twins_cpu", sys.argv[1], functions=[], work_ms=selftime.ACC[RULE][1] / 1e6, queued_share=round(queued(), 3),
                suspicions=[dict(id="cpu_throttling", verdict="dismissed")]
                + [dict(id=rule, verdict="confirmed" if BAD else "dismissed")
                   for rule in RULES[RULE] if rule not in unsure and not FIXED])
