"""HTTP/2 in clear text, each shape in its own function, against `server.py` in another process, whose counters are the truth.
Streams one after the other and forty at a time on one connection, bodies of many frames both ways, errors, and curl's upgrade
from HTTP/1.1.
variants: sequential concurrent bodies errors upgrade all"""
import asyncio, json, os, signal, subprocess, sys
import selftime
from selftime import sect
import httpx

HERE = os.path.dirname(os.path.abspath(__file__))
BASE = ""


def client():
    return httpx.AsyncClient(http1=False, http2=True, trust_env=False, timeout=60, headers={"authorization": "s3cr3t-t0ken"})


def sequential_streams():
    async def go():
        async with client() as c:
            for i in range(30):
                r = await c.get("%s/item/%d?token=s3cr3t-t0ken" % (BASE, i))
                assert (r.status_code, r.http_version) == (200, "HTTP/2")
    with sect("sequential_streams"):
        asyncio.run(go())


def concurrent_streams():
    async def go():
        async with client() as c:
            await c.get(BASE + "/first")
            await asyncio.gather(*[c.get(BASE + "/par") for _ in range(40)])
    with sect("concurrent_streams"):
        asyncio.run(go())


def large_bodies():
    async def go():
        async with client() as c:
            for _ in range(4):
                assert len((await c.get(BASE + "/big")).content) == 150000
                await c.post(BASE + "/upload", content=b"u" * 100000)
            await asyncio.gather(*[c.get(BASE + "/big") for _ in range(6)])
    with sect("large_bodies"):
        asyncio.run(go())


def error_answers():
    async def go():
        async with client() as c:
            for _ in range(5):
                assert (await c.get(BASE + "/missing")).status_code == 404
    with sect("error_answers"):
        asyncio.run(go())


def upgraded():
    with sect("upgraded"):
        for _ in range(3):
            urls = ["%s/up/%d" % (BASE, i) for i in range(4)]
            subprocess.run(["curl", "-s", "--noproxy", "*", "--http2", *urls], stdout=subprocess.DEVNULL, check=True)


def main():
    global BASE
    variant = sys.argv[1] if len(sys.argv) > 1 else "all"
    # By variant: function, round trips, connections.
    shapes = dict(sequential=(sequential_streams, 30, 1), concurrent=(concurrent_streams, 41, 1), bodies=(large_bodies, 14, 1),
                  errors=(error_answers, 5, 1), upgrade=(upgraded, 12, 3))
    chosen = [shapes[variant]] if variant != "all" else list(shapes.values())
    r, w = os.pipe()
    server = subprocess.Popen([sys.executable, os.path.join(HERE, "server.py"), str(w)], pass_fds=[w], stdout=subprocess.PIPE)
    os.close(w)
    port = int(os.read(r, 20))
    BASE = "http://127.0.0.1:%d" % port
    for f, _, _ in chosen:
        f()
    server.send_signal(signal.SIGTERM)
    counted = json.loads(server.communicate()[0])
    round_trips, connections = (sum(shape[i] for shape in chosen) for i in (1, 2))
    assert (counted["round_trips"], counted["connections"]) == (round_trips, connections), counted
    selftime.finish("w61_http2", variant,
                    functions=[selftime.fn(f.__name__, kind="http_call", http_round_trips=n) for f, n, _ in chosen],
                    http=dict(round_trips_total=round_trips, peers=[dict(service="server", port=port, round_trips=round_trips, failed=0, connections=connections, in_tree=True)]),
                    versions=counted["versions"])


main()
