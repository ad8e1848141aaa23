"""The faults of the catalogue, each with its twin that does the same work without it: twins.py RULE.bad | RULE.good | RULE.other.
The work is measured by the program itself: `work` in its truth, which is what a fix is worth."""
import asyncio, http.client, os, socket, ssl, subprocess, sys, tempfile, threading, time, uuid
from concurrent.futures import ThreadPoolExecutor
import selftime
from pool import ConnectionPool
from selftime import sect

HERE = os.path.dirname(os.path.abspath(__file__))
RULE, WAY = sys.argv[1].split(".")
server = subprocess.Popen([sys.executable, os.path.join(HERE, "serve.py")] + (["names"] if RULE.startswith("dns") else []),
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
HTTP, RESP, HTTPS = map(int, server.stdout.readline().split())
local = threading.local()


def get(c, path, body=None):
    c.request("GET" if body is None else "POST", path, body)
    return c.getresponse().read()


def client():
    if not hasattr(local, "c"):
        local.c = http.client.HTTPConnection("127.0.0.1", HTTP)
    return local.c


def trusting():
    tls = ssl.create_default_context()
    tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    return tls


TLS = trusting()


class Cache:
    def __init__(self):
        self.s = socket.create_connection(("127.0.0.1", RESP))
        self.f = self.s.makefile("rb")

    def ask(self, *words):
        self.s.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w.encode()) for w in words))
        first = self.f.readline()
        for _ in range(int(first[1:]) if first[:1] == b"*" else 1):
            if first[:1] == b"*":
                self.f.readline()
            self.f.readline()


async def fetch(path):
    r, w = await asyncio.open_connection("127.0.0.1", HTTP)
    w.write(b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n" % path.encode())
    head = await r.readuntil(b"\r\n\r\n")
    length = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")][0]
    body = await r.readexactly(int(length.split(b":")[1]))
    w.close()
    return body


# One function a rule and way. `work` calls it; what it asks for is the same in both ways.

def connection_per_request_bad():
    for i in range(30):
        c = http.client.HTTPSConnection("127.0.0.1", HTTPS, context=TLS)
        get(c, "/t/5/item/%d" % i)
        c.close()


def connection_per_request_good():
    c = http.client.HTTPSConnection("127.0.0.1", HTTPS, context=TLS)
    for i in range(30):
        get(c, "/t/5/item/%d" % i)


def load_item(i):
    return get(client(), "/t/30/item/%s" % uuid.uuid5(uuid.NAMESPACE_OID, str(i)))


def sequential_http_calls_bad():
    for i in range(24):
        load_item(i)


def sequential_http_calls_good():
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(load_item, range(24)))


def sequential_http_calls_other():
    """Every page says where the next one is."""
    cursor = "first-of-all"
    for _ in range(24):
        cursor = get(client(), "/page/%s" % cursor).decode().split('"')[3]


def n_plus_one_queries_bad():
    c = Cache()
    for i in range(60):
        c.ask("GET", "user:%d" % i)


def n_plus_one_queries_good():
    Cache().ask("MGET", *["user:%d" % i for i in range(60)])


def repeated_query_bad():
    c = Cache()
    for i in range(40):
        c.ask("GET", "settings")


def repeated_query_good():
    Cache().ask("GET", "settings")


def repeated_request_bad():
    for i in range(20):
        get(client(), "/t/15/rates")


def repeated_request_good():
    get(client(), "/t/15/rates")


def repeated_request_other():
    """Asks until something has changed."""
    for i in range(8):
        get(client(), "/t/2/state")
        time.sleep(0.02)


async def page(i):
    user = await fetch("/t/25/user/%d" % i)
    orders = await fetch("/t/25/orders/%d" % i)
    prices = await fetch("/t/25/prices/%d" % i)
    return user, orders, prices


async def page_at_once(i):
    return await asyncio.gather(fetch("/t/25/user/%d" % i), fetch("/t/25/orders/%d" % i), fetch("/t/25/prices/%d" % i))


async def page_in_turn(i):
    """Each call needs what the one before it brought."""
    user = (await fetch("/t/25/user/%d" % i)).decode().split('"')[3]
    order = (await fetch("/t/25/orders/%s" % user)).decode().split('"')[3]
    return await fetch("/t/25/prices/%s" % order)


async def pages(of):
    for i in range(8):
        await of(i)


def sequential_awaits_bad():
    asyncio.run(pages(page))


def sequential_awaits_good():
    asyncio.run(pages(page_at_once))


def sequential_awaits_other():
    asyncio.run(pages(page_in_turn))


def read_slowly():
    time.sleep(0.06)


async def handle_blocking():
    for _ in range(2):
        read_slowly()
        await asyncio.sleep(0)


async def handle():
    for _ in range(2):
        await asyncio.to_thread(read_slowly)


async def crowd(of):
    await asyncio.gather(*[of() for _ in range(4)])


def sync_io_in_async_bad():
    asyncio.run(crowd(handle_blocking))


def sync_io_in_async_good():
    asyncio.run(crowd(handle))


def write_lines(file, lines=150000):
    for i in range(lines):
        file.write(b"%039d\n" % i)


def tiny_io_bad():
    with tempfile.NamedTemporaryFile(dir=HERE, buffering=0) as file:
        write_lines(file)


def tiny_io_good():
    with tempfile.NamedTemporaryFile(dir=HERE, buffering=1 << 16) as file:
        write_lines(file)


def small_sync_writes_bad():
    with tempfile.NamedTemporaryFile(dir=HERE, buffering=0) as file:
        for i in range(60):
            file.write(b"x" * 4096)
            os.fsync(file.fileno())


def small_sync_writes_good():
    with tempfile.NamedTemporaryFile(dir=HERE, buffering=0) as file:
        for i in range(60):
            file.write(b"x" * 4096)
        os.fsync(file.fileno())


def ask_in(parts):
    s = socket.create_connection(("127.0.0.1", HTTP))
    for i in range(25):
        body = b"body-%035d" % i
        head = b"POST /t/0/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body)
        for part in ([head, body] if parts == 2 else [head + body]):
            s.sendall(part)
        s.recv(65536)


def delayed_ack_stall_bad():
    ask_in(2)


def delayed_ack_stall_good():
    ask_in(1)


def dns_per_request_bad():
    for i in range(20):
        c = http.client.HTTPConnection("shop.twins.test", HTTP)
        get(c, "/t/1/item/%d" % i)
        c.close()


def dns_per_request_good():
    address = socket.gethostbyname("shop.twins.test")
    for i in range(20):
        c = http.client.HTTPConnection(address, HTTP)
        get(c, "/t/1/item/%d" % i)
        c.close()


def shake_hands(resume):
    tls, session = trusting(), None
    for i in range(12):
        with tls.wrap_socket(socket.create_connection(("127.0.0.1", HTTPS)), session=session) as s:
            s.sendall(b"GET /t/1/item/%d HTTP/1.1\r\nHost: localhost\r\n\r\n" % i)
            s.recv(65536)
            session = s.session if resume else None


def tls_full_handshake_bad():
    shake_hands(False)


def tls_full_handshake_good():
    shake_hands(True)


def take(pool, i):
    c = pool.acquire()
    get(c, "/t/20/item/%d" % i)
    pool.release(c)


def crowd_at_pool(size):
    with ThreadPoolExecutor(15) as threads:
        shared = ConnectionPool(size, lambda: http.client.HTTPConnection("127.0.0.1", HTTP))
        list(threads.map(lambda i: take(shared, i), range(90)))


def pool_exhaustion_bad():
    crowd_at_pool(5)


def pool_exhaustion_good():
    crowd_at_pool(15)


def rate_limiting_bad():
    """As fast as it can; what was refused is asked again after a moment."""
    for i in range(15):
        while b"slow" in get(client(), "/busy/%d" % i):
            time.sleep(0.003)


def rate_limiting_good():
    for i in range(15):
        get(client(), "/busy/%d" % i)
        time.sleep(0.025)


def rates():
    return get(client(), "/t/12/rates")


def total(keep):
    return keep or rates()


def taxes(keep):
    return keep or rates()


def bill(known):
    for _ in range(8):
        total(known and known[0])
        taxes(known and known[0])


def repeated_computation_bad():
    bill(None)


def repeated_computation_good():
    bill([rates()])


def cache_unused_bad():
    c = Cache()
    c.ask("SET", "rates", "1")
    for _ in range(20):
        rates()


def cache_unused_good():
    c = Cache()
    for i in range(20):
        c.ask("GET", "rates")
        if i == 0:
            rates()


KEPT = []


def answer(i, keeps):
    page = bytearray(get(client(), "/t/5/item/%d" % i)[:1]) * (3 << 19)
    KEPT[:] = KEPT + [page] if keeps else [page]


def memory_leak_bad():
    for i in range(60):
        answer(i, True)


def memory_leak_good():
    for i in range(60):
        answer(i, False)


def load(mib):
    KEPT[:] = [bytearray(b"\1") * (mib << 20)]
    get(client(), "/t/30/item/1")


def large_allocation_bad():
    load(256)


def large_allocation_good():
    for _ in range(16):
        load(4)


def work():
    with sect("work"):
        globals()["%s_%s" % (RULE, WAY)]()


work()
server.stdin.close()
server.wait()
selftime.finish("w70_twins", sys.argv[1], functions=[selftime.fn("work")])
