"""HTTPS requests of CPython, in the shapes that reach a TLS library differently. The server counts them."""
import asyncio, http.client, os, ssl, sys, threading, time

os.chdir(os.path.dirname(os.path.abspath(__file__)))
SHAPE, PORT = sys.argv[1], int(sys.argv[2])
CONTEXT = ssl.create_default_context(cafile="cert.pem")


def connection():
    return http.client.HTTPSConnection("localhost", PORT, context=CONTEXT, timeout=20)


def ask(over, path, body=None):
    over.request("POST" if body else "GET", path, body)
    return over.getresponse().read()


def kept(count=15):
    over = connection()
    for i in range(count):
        assert len(ask(over, "/s/%d" % i)) == 500
    over.close()


def new():
    for _ in range(6):
        kept(1)


def bodies():
    over = connection()
    for _ in range(3):
        assert len(ask(over, "/big")) == 300000
        assert len(ask(over, "/chunked")) == 40000
        ask(over, "/post", b"GET /not/a/request HTTP/1.1\r\nHost: x\r\n\r\n" * 30000)
    over.close()


def close():
    for _ in range(4):
        over = connection()
        assert len(ask(over, "/close")) == 5000
        over.close()


def threads():
    all = [threading.Thread(target=kept, args=(10,)) for _ in range(8)]
    for one in all:
        one.start()
    for one in all:
        one.join()


def paced():
    """Two seconds of requests; says when some are through, and when all are."""
    over = connection()
    for i in range(200):
        assert len(ask(over, "/s/%d" % i)) == 500
        if i == 40:
            open(os.environ["STARTED"], "w").close()
        time.sleep(0.01)
    over.close()
    open(os.environ["STARTED"] + ".done", "w").close()


def tunnel():
    over = http.client.HTTPSConnection("127.0.0.1", int(sys.argv[3]), context=CONTEXT, timeout=20)
    over.set_tunnel("localhost", PORT)
    for i in range(7):
        assert len(ask(over, "/s/%d" % i)) == 500
    over.close()


async def stream(count, body=b""):
    reader, writer = await asyncio.open_connection("localhost", PORT, ssl=CONTEXT)
    for i in range(count):
        head = "POST /a/%d HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % (i, len(body))
        writer.write(head.encode())
        if body:
            writer.write(body)
        await writer.drain()
        answer = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(500)
        assert answer.startswith(b"HTTP/1.1 200")
    writer.close()
    await writer.wait_closed()


async def streams():
    """Connections at once on one thread, then one with bodies that fill many records and buffers."""
    await asyncio.gather(*[stream(10) for _ in range(6)])
    await stream(3, b"w" * 2_000_000)


if SHAPE == "asyncio":
    asyncio.run(stream(20))
elif SHAPE == "streams":
    asyncio.run(streams())
else:
    globals()[SHAPE]()
