"""Event loops: who the time in their polls belongs to. Each coroutine times itself; of one that runs several times at once the
union counts. variants: client (two hundred requests over one loop, to `server.py`), executor (work given to a pool's threads)"""
import asyncio, json, os, signal, subprocess, sys, time
from concurrent.futures import ThreadPoolExecutor

import selftime
from selftime import sect

HERE = os.path.dirname(os.path.abspath(__file__))
PORT = 0


class Connection:
    async def __aenter__(self):
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", PORT)
        return self

    async def __aexit__(self, *error):
        self.writer.close()

    async def get(self, path):
        self.writer.write(b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % path)
        head = await self.reader.readuntil(b"\r\n\r\n")
        assert b" 200 " in head
        return await self.reader.readexactly(int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0]))


async def timer_worker(n):
    async with Connection() as c:
        for _ in range(n):
            with sect("fetch_timer", keep=True):
                await fetch_timer(c)


async def fetch_timer(c):
    return await c.get(b"/timer")


async def compute_worker(n):
    async with Connection() as c:
        for _ in range(n):
            with sect("fetch_compute", keep=True):
                await fetch_compute(c)


async def fetch_compute(c):
    return await c.get(b"/compute")


async def fetch_a():
    async with Connection() as c:
        for _ in range(8):
            await c.get(b"/timer")


async def fetch_b():
    async with Connection() as c:
        for _ in range(2):
            await c.get(b"/slow")


async def blocker():
    """Computes while others wait for their answers."""
    await asyncio.sleep(0.03)
    with sect("hog", keep=True):
        hog()


def hog():
    selftime.busy_cpu(60)


async def timed(name, coroutine):
    with sect(name, keep=True):
        return await coroutine


async def phase_timer():
    await asyncio.gather(*(timer_worker(10) for _ in range(10)))


async def phase_compute():
    await asyncio.gather(*(compute_worker(20) for _ in range(5)))


async def phase_mixed():
    await asyncio.gather(timed("fetch_a", fetch_a()), timed("fetch_b", fetch_b()))


async def phase_blocked():
    await asyncio.gather(timed("fetch_behind", fetch_behind()), blocker())


async def fetch_behind():
    async with Connection() as c:
        await c.get(b"/timer")
        await c.get(b"/slow")


async def nap():
    await asyncio.sleep(0.15)


async def ticker():
    """What lives beside the requests and wakes the loop again and again."""
    while True:
        await asyncio.sleep(0.01)


async def client():
    tick = asyncio.ensure_future(ticker())
    for phase in (phase_timer, phase_compute, phase_mixed, phase_blocked):
        with sect(phase.__name__, keep=True):
            await phase()
    with sect("nap", keep=True):
        await nap()
    tick.cancel()


def within(server):
    """How long the server's handlers were inside, in each phase of the client: both read one clock."""
    found = {}
    for phase in (n for n in list(selftime.INTERVALS) if n.startswith("phase_")):
        (begin, end), = selftime.INTERVALS[phase]
        for handler, spans in server.items():
            selftime.INTERVALS["?"] = [(a, b) for a, b in spans if begin <= a and b <= end]
            found.setdefault(phase, {})[handler] = round(selftime.union_ms("?"), 2)
    del selftime.INTERVALS["?"]
    return found


def serve():
    global PORT
    r, w = os.pipe()
    p = subprocess.Popen([sys.executable, os.path.join(HERE, "server.py"), str(w)], pass_fds=(w,), stdout=subprocess.PIPE)
    os.close(w)
    PORT = int(os.read(r, 32))
    return p


def main():
    variant = sys.argv[1]
    if variant == "client":
        p = serve()
        asyncio.run(client())
        p.send_signal(signal.SIGTERM)
        out, _ = p.communicate()
        extra = dict(within=within(json.loads(out)))
    elif variant == "executor":
        asyncio.run(executor())
        extra = {}
    names = sorted(selftime.INTERVALS)
    selftime.finish("w40_loops", variant, functions=[selftime.fn(n, wall_ms=round(selftime.union_ms(n), 2)) for n in names], **extra)


def pool_sleep():
    time.sleep(0.04)


def pool_compute():
    selftime.busy_cpu(15)


async def await_sleeps():
    loop = asyncio.get_running_loop()
    await asyncio.gather(*(loop.run_in_executor(None, run_sleep) for _ in range(8)))


def run_sleep():
    with sect("pool_sleep", keep=True):
        pool_sleep()


def run_compute():
    with sect("pool_compute", keep=True):
        pool_compute()


async def await_computes():
    loop = asyncio.get_running_loop()
    await asyncio.gather(*(loop.run_in_executor(None, run_compute) for _ in range(8)))


async def executor():
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(2))
    tick = asyncio.ensure_future(ticker())
    for work in (await_sleeps, await_computes):
        with sect(work.__name__, keep=True):
            await work()
    tick.cancel()


if __name__ == "__main__":
    main()
