"""Pairs of programs: one with a fault, and one that does the same without. RULE.bad and RULE.good, some also RULE.other: what
looks like the fault and has a reason. About a second each.

repeated_file_read   a table is read for each item | it is read once | it is written in between
over_fetching        the first line of a large answer is read | as much is asked for as is read
leaked_descriptors   files are opened for each item and kept | they are closed | a pool is opened at once, and kept
leftover_temp_files  temporary files are left | they are removed
time_out             a server never answers | it answers late
processes            a process for each item | sixty processes that work
major_faults         pages of a file that is not in the cache are touched | that is
disk                 a file is read past the cache, in large pieces, by several threads | it is read from the cache
"""
import mmap, os, random, socket, subprocess, sys, tempfile, threading, time
import selftime
from selftime import sect

HERE = os.path.dirname(os.path.abspath(__file__))
RULE, WAY = sys.argv[1].split(".")
BAD = WAY == "bad"
MARK = "perfmap-w76-"
DATA = os.path.join(selftime.out_dir(), "data.%d" % os.getpid())


def of_earlier_runs():
    """The bad twin leaves files: those of the runs before go."""
    for name in os.listdir(tempfile.gettempdir()):
        if name.startswith(MARK):
            os.unlink(os.path.join(tempfile.gettempdir(), name))


def burn(ms):
    end, x = time.thread_time_ns() + ms * 1_000_000, 1
    while time.thread_time_ns() < end:
        for _ in range(200):
            x = (x * 1103515245 + 12345) & 0x7FFFFFFF
    return x


def read_table():
    with open(DATA, "rb", buffering=0) as file:
        return file.read()


def write_table(item):
    with open(DATA, "r+b") as file:
        file.write(b"%06d" % item)


def repeated_file_read():
    table = b"x" * (4 << 20)
    with open(DATA, "wb") as file:
        file.write(table)
    known = read_table() if WAY == "good" else None
    for item in range(60):
        if WAY == "other":
            write_table(item)
        rows = known or read_table()
        assert rows[-1] == 120
        burn(5)


class Server:
    """Answers each connection with so many lines, after so long; None: never."""

    def __init__(self, late):
        self.late, self.kept = late, []
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.address = self.socket.getsockname()
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            client, _ = self.socket.accept()
            threading.Thread(target=self.answer, args=(client,), daemon=True).start()

    def answer(self, client):
        want = client.recv(200)
        if self.late is None:
            self.kept.append(client)
            return
        time.sleep(self.late)
        size = int(want.split(b"/")[1].split()[0])
        head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size
        try:
            client.sendall(head + b"line\n" * (size // 5))
        except OSError:
            pass
        client.close()


def first_line(server, size):
    with socket.create_connection(server.address) as client:
        client.sendall(b"GET /%d HTTP/1.1\r\nHost: here\r\n\r\n" % size)
        text = b""
        while text.count(b"\n") < 4:
            text += client.recv(256)
        time.sleep(0.02)
        while size <= 200 and client.recv(4096):
            pass
    return text


def over_fetching():
    server = Server(0)
    for _ in range(20):
        first_line(server, 1_000_000 if BAD else 200)


def open_item(keep):
    keep.append(os.open(DATA, os.O_RDONLY))


def use_items(keep):
    for number in range(150):
        if WAY != "other":
            open_item(keep)
        os.pread(keep[-1], 100, number)
        time.sleep(0.006)
        if WAY == "good":
            os.close(keep.pop())


def leaked_descriptors():
    with open(DATA, "wb") as file:
        file.write(b"x" * 10_000)
    # Both begin with as many as a program with some connections has.
    keep = [os.open(DATA, os.O_RDONLY) for _ in range(30)]
    if WAY == "other":
        for _ in range(150):
            open_item(keep)
    use_items(keep)


def make_one(number):
    descriptor, path = tempfile.mkstemp(prefix=MARK)
    os.write(descriptor, b"%d" % number)
    os.close(descriptor)
    return path


def leftover_temp_files():
    for number in range(30):
        path = make_one(number)
        burn(20)
        if not BAD:
            os.unlink(path)


def ask(server):
    client = socket.create_connection(server.address)
    client.settimeout(0.3)
    client.sendall(b"GET /100 HTTP/1.1\r\nHost: here\r\n\r\n")
    try:
        return client.recv(4096)
    except socket.timeout:
        return None
    finally:
        client.close()


def time_out():
    server = Server(None if BAD else 0.1)
    for _ in range(5):
        assert (ask(server) is None) == BAD


def start_one(command):
    subprocess.run(command, check=True, close_fds=False)


def processes():
    if BAD:
        for _ in range(200):
            start_one(["/bin/true"])
    else:
        for _ in range(60):
            start_one(["/bin/sh", "-c", "i=0; while [ $i -lt 30000 ]; do i=$((i+1)); done"])


def touch(pages, size):
    order = list(range(0, size, 4096))
    random.Random(7).shuffle(order)
    end, sum = time.perf_counter() + 1.0, 0
    for at in order:
        sum += pages[at]
        if time.perf_counter() > end:
            break
    return sum


def major_faults():
    size = 128 << 20
    with open(DATA, "wb") as file:
        for _ in range(size >> 20):
            file.write(os.urandom(1 << 20))
        if BAD:
            file.flush()
            os.fsync(file.fileno())
    descriptor = os.open(DATA, os.O_RDONLY)
    if BAD:
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    pages = mmap.mmap(descriptor, size, prot=mmap.PROT_READ)
    pages.madvise(mmap.MADV_RANDOM)
    with sect("touch"):
        touch(pages, size)


def read_part(number, until):
    flags = os.O_RDONLY | (os.O_DIRECT if BAD else 0)
    descriptor, at = os.open(DATA, flags), number << 20
    space = mmap.mmap(-1, 1 << 20)
    while time.perf_counter() < until:
        if os.preadv(descriptor, [space], at) < 1 << 20:
            at = number << 20
        else:
            at += 4 << 20
    os.close(descriptor)


def disk():
    with open(DATA, "wb") as file:
        for _ in range(64):
            file.write(os.urandom(1 << 20))
        if BAD:
            file.flush()
            os.fsync(file.fileno())
    threads = [threading.Thread(target=read_part, args=(n, time.perf_counter() + 1.2)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def work():
    with sect("work"):
        globals()[RULE]()


of_earlier_runs()
try:
    work()
finally:
    if os.path.exists(DATA):
        os.unlink(DATA)
selftime.finish("w76_twins_files", sys.argv[1], functions=[selftime.fn("work"), selftime.fn("touch")])
