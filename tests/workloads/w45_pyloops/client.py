"""Requests through the usual libraries over one event loop: at once, one after another, and beside a callback that computes. Each
coroutine times itself; of one that runs several times at once the union counts. usage: client.py httpx|aiohttp|uvloop
(httpx over TLS; aiohttp; aiohttp on uvloop, to uvicorn on uvloop)"""
import asyncio, os, signal, ssl, subprocess, sys

import selftime
from selftime import sect

SERVER = {"httpx": "tls", "aiohttp": "aiohttp", "uvloop": "uvicorn"}
GET = None


async def timed(name, coroutine):
    with sect(name, keep=True):
        return await coroutine


async def fetch_timer():
    await GET("/timer")


async def fetch_slow():
    await GET("/slow")


async def worker():
    for _ in range(5):
        await timed("fetch_timer", fetch_timer())


async def phase_at_once():
    await asyncio.gather(*(timed("worker", worker()) for _ in range(6)))


async def phase_in_turn():
    for _ in range(4):
        await timed("fetch_slow", fetch_slow())


async def fetch_a():
    for _ in range(6):
        await GET("/timer")


async def fetch_b():
    for _ in range(2):
        await GET("/slow")


async def phase_mixed():
    await asyncio.gather(timed("fetch_a", fetch_a()), timed("fetch_b", fetch_b()))


async def blocker():
    """Computes while others wait for their answers."""
    await asyncio.sleep(0.03)
    with sect("hog", keep=True):
        hog()


def hog():
    selftime.busy_cpu(80)


async def fetch_behind():
    await GET("/timer")
    await GET("/slow")


async def phase_blocked():
    await asyncio.gather(timed("fetch_behind", fetch_behind()), blocker())


async def nap():
    await asyncio.sleep(0.15)


async def phases():
    await asyncio.gather(*(GET("/timer") for _ in range(6)))
    for phase in (phase_at_once, phase_in_turn, phase_mixed, phase_blocked, nap):
        await timed(phase.__name__, phase())


async def by_httpx(base):
    global GET
    import httpx

    async with httpx.AsyncClient(verify=ssl.create_default_context(cafile="cert.pem"), trust_env=False) as client:

        async def get(path):
            assert len((await client.get(base + path)).content) == 40

        GET = get
        await phases()


async def by_aiohttp(base):
    global GET
    import aiohttp

    async with aiohttp.ClientSession() as client:

        async def get(path):
            async with client.get(base + path) as answer:
                assert len(await answer.read()) == 40

        GET = get
        await phases()


def serve(variant):
    r, w = os.pipe()
    words = [sys.executable, "server.py", SERVER[variant], str(w)]
    server = subprocess.Popen(words, pass_fds=(w,))
    os.close(w)
    return server, int(os.read(r, 32))


def main():
    variant = sys.argv[1]
    server, port = serve(variant)
    if variant == "httpx":
        asyncio.run(by_httpx(f"https://localhost:{port}"))
    elif variant == "aiohttp":
        asyncio.run(by_aiohttp(f"http://127.0.0.1:{port}"))
    else:
        import uvloop

        uvloop.run(by_aiohttp(f"http://127.0.0.1:{port}"))
    server.send_signal(signal.SIGTERM)
    server.wait()
    names = sorted(selftime.INTERVALS)
    functions = [selftime.fn(name, wall_ms=round(selftime.union_ms(name), 2)) for name in names]
    selftime.finish("w45_pyloops", variant, functions=functions)


if __name__ == "__main__":
    main()
