"""Workers side by side that are held up by one thing each, and some that are not. Each run measures its own truth.
   manager    6 processes, 8 ms under a lock of a multiprocessing manager
   slow       4 processes with a part of the items each, one of them takes five times as long
   semaphore  40 coroutines, 20 ms inside asyncio.Semaphore(4)
   peer       8 threads ask a server with one thread that computes 8 ms an answer
   refused    8 threads ask a server that answers 429 above 40 a second
   idle       a pool of 8 threads that had one small job each; the main thread works
   linear     8 threads, 20 ms each, nothing shared
   example    64 threads: fetch 20.5 ms, write 23.6 ms under one lock
   batched    the same, ten items to one write
"""
import asyncio, http.client, json, multiprocessing, os, subprocess, sys, threading, time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

VARIANT = sys.argv[1]
LOCK = threading.Lock()
LOCAL = threading.local()
DONE = []


def fetch(seconds):
    time.sleep(seconds)


def write(lock, seconds):
    with lock:
        time.sleep(seconds)


def finish(workers, items, seconds, **more):
    truth = dict(variant=VARIANT, workers=workers, items=items, seconds=seconds, rate=items / seconds, **more)
    directory = os.environ.get("TRUTH_DIR") or os.path.join(os.path.dirname(os.path.abspath(__file__)), "truth")
    os.makedirs(directory, exist_ok=True)
    with open(os.path.join(directory, "w79_workers.%s.json" % VARIANT), "w") as out:
        json.dump(truth, out)


def in_threads(count, work):
    ready = threading.Barrier(count + 1)

    def worker(number):
        ready.wait()
        work(number)

    threads = [threading.Thread(target=worker, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    ready.wait()
    start = time.perf_counter()
    for thread in threads:
        thread.join()
    return time.perf_counter() - start


def manager_worker(lock, items):
    for _ in range(items):
        fetch(0.01)
        write(lock, 0.008)


def manager():
    workers, items = 6, 25
    with multiprocessing.get_context("fork").Manager() as held:
        lock = held.Lock()
        start = time.perf_counter()
        processes = [multiprocessing.Process(target=manager_worker, args=(lock, items)) for _ in range(workers)]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        finish(workers, workers * items, time.perf_counter() - start)


def part(seconds):
    for _ in range(20):
        fetch(seconds)
        transform(seconds / 2)


def transform(seconds):
    time.sleep(seconds)


def slow():
    with ProcessPoolExecutor(4) as pool:
        start = time.perf_counter()
        list(pool.map(part, [0.01, 0.01, 0.05, 0.01]))
        finish(4, 80, time.perf_counter() - start)


async def limited(gate):
    async with gate:
        await asyncio.sleep(0.02)


async def coroutine(gate, items):
    for _ in range(items):
        await limited(gate)


async def semaphore_main():
    workers, items = 40, 10
    gate = asyncio.Semaphore(4)
    start = time.perf_counter()
    await asyncio.gather(*(coroutine(gate, items) for _ in range(workers)))
    finish(workers, workers * items, time.perf_counter() - start)


def semaphore():
    asyncio.run(semaphore_main())


def serve(kind):
    from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer

    bucket = [threading.Lock(), 0.0]

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1
        disable_nagle_algorithm = True

        def log_message(self, *_):
            pass

        def setup(self):
            super().setup()
            # One thread answers all: a connection must not keep it.
            self.close_connection = kind == "peer"

        def do_GET(self):
            status = 200
            if kind == "peer":
                end = time.thread_time() + 0.008
                while time.thread_time() < end:
                    pass
            else:
                with bucket[0]:
                    now = time.monotonic()
                    if bucket[1] > now:
                        status = 429
                    else:
                        bucket[1] = max(bucket[1], now - 0.025) + 0.025
                if status == 200:
                    time.sleep(0.005)
            self.send_response(status)
            if status == 429:
                self.send_header("Retry-After", "0.1")
            if kind == "peer":
                self.send_header("Connection", "close")
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

    # With the usual 5 places connections are refused now and then, and tried again a second later.
    HTTPServer.request_queue_size = 64
    server = (HTTPServer if kind == "peer" else ThreadingHTTPServer)(("127.0.0.1", 0), Handler)
    print(server.server_address[1], flush=True)
    server.serve_forever()


def ask(port):
    """True where it was answered, else how long to wait."""
    connection = getattr(LOCAL, "connection", None)
    if connection is None or VARIANT == "peer":
        connection = LOCAL.connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("GET", "/item")
    answer = connection.getresponse()
    answer.read()
    return 0.0 if answer.status == 200 else float(answer.headers["Retry-After"])


def get_item(port):
    while (wait := ask(port)) > 0:
        DONE.append(wait)
        time.sleep(wait)


def with_server(items):
    server = subprocess.Popen([sys.executable, __file__, "serve", VARIANT], stdout=subprocess.PIPE)
    port = int(server.stdout.readline())

    def work(_):
        for _ in range(items):
            get_item(port)

    seconds = in_threads(8, work)
    server.terminate()
    server.wait()
    finish(8, 8 * items, seconds, refused=len(DONE))


def idle():
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(fetch, [0.02] * 8))
        end = time.perf_counter() + 1.0
        while time.perf_counter() < end:
            pass
    finish(0, 0, 1.0)


def linear():
    def work(_):
        for _ in range(50):
            fetch(0.02)
            transform(0.001)

    finish(8, 400, in_threads(8, work))


def example():
    def work(_):
        for _ in range(2):
            fetch(0.0205)
            write(LOCK, 0.0236)

    finish(64, 128, in_threads(64, work))


def batched():
    def work(_):
        for _ in range(2):
            for _ in range(10):
                fetch(0.0205)
            write(LOCK, 0.0236)

    finish(64, 1280, in_threads(64, work))


if VARIANT == "serve":
    serve(sys.argv[2])
elif VARIANT == "peer":
    with_server(25)
elif VARIANT == "refused":
    with_server(10)
elif __name__ == "__main__":
    globals()[VARIANT]()
