"""SQLite inside the program: commits that wait for the disk, and a writer that waits for another process's lock. Beside it the
same kinds of waits without SQLite, and a wait of Python's own below SQLite."""
import os, sqlite3, subprocess, sys, tempfile, time
import selftime
from selftime import sect

HELD_MS = 600
MOST_COMMITS = 3000
ENOUGH_MS = 250


def hold(path):
    """The other process: has the lock from its first line of output on, until the time that its second one says."""
    c = sqlite3.connect(path, isolation_level=None)
    c.execute("begin exclusive")
    print("held", flush=True)
    time.sleep(HELD_MS / 1000)
    before = time.monotonic()
    c.execute("commit")
    print(before, flush=True)


def blocked_ms(name):
    _calls, wall, cpu = selftime.ACC[name]
    return (wall - cpu) / 1e6


def insert_rows(c):
    """Each commit waits for the disk: as many as make a time worth looking at, on any disk."""
    for i in range(MOST_COMMITS):
        with sect("insert_rows"):
            c.execute("insert into things values (?, ?)", (i, "x" * 200))
            c.commit()
        if blocked_ms("insert_rows") > ENOUGH_MS:
            return


def wait_for_lock(c, path):
    other = subprocess.Popen([sys.executable, os.path.abspath(__file__), "hold", path], stdout=subprocess.PIPE)
    other.stdout.readline()
    asked = time.monotonic()
    with sect("wait_for_lock"):
        c.execute("update things set name = 'y' where id = 0")
        c.commit()
    released = float(other.stdout.readline())
    other.wait()
    return (released - asked) * 1000


def sync_file(path):
    with open(path, "wb", buffering=0) as f:
        for _ in range(MOST_COMMITS):
            with sect("sync_file"):
                f.write(b"x" * 4096)
                os.fsync(f.fileno())
            if blocked_ms("sync_file") > ENOUGH_MS:
                return


def nap():
    with sect("nap"):
        time.sleep(0.25)
    return 1


def called_back(c):
    """Not SQLite waits, but what it calls."""
    c.create_function("nap", 0, nap)
    c.execute("select nap()").fetchall()


def main():
    # Beside the program: /tmp may be memory, where nothing waits for a disk.
    here = os.path.join(os.path.dirname(os.path.abspath(__file__)), "truth")
    with tempfile.TemporaryDirectory(dir=here) as place:
        path = os.path.join(place, "things.db")
        c = sqlite3.connect(path, timeout=30)
        c.execute("create table things (id int, name text)")
        insert_rows(c)
        held_ms = wait_for_lock(c, path)
        called_back(c)
        c.close()
        sync_file(os.path.join(place, "plain"))
    names = ("insert_rows", "wait_for_lock", "sync_file", "nap")
    selftime.finish("w34_sqlite", functions=[selftime.fn(name) for name in names], held_ms=held_ms)


if __name__ == "__main__":
    if sys.argv[1:2] == ["hold"]:
        hold(sys.argv[2])
    else:
        main()
