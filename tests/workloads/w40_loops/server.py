"""An asyncio HTTP/1.1 server (streams, keep-alive) whose routes await a timer, compute, or both. On SIGTERM it prints when
each handler was inside, by the clock that the client reads as well. usage: server.py READY_FD [CERTIFICATE KEY]"""
import asyncio, json, os, signal, ssl, sys, time

import selftime
from selftime import sect


async def pause(ms):
    with sect("pause", keep=True):
        await asyncio.sleep(ms / 1000)


async def answer_timer():
    with sect("answer_timer", keep=True):
        await pause(20)
    return b"t" * 40


async def answer_slow():
    with sect("answer_slow", keep=True):
        await asyncio.sleep(0.06)
    return b"s" * 40


def crunch(ms):
    selftime.busy_cpu(ms)


async def answer_compute():
    with sect("answer_compute", keep=True):
        crunch(2)
    return b"c" * 40


ROUTES = {b"/timer": answer_timer, b"/slow": answer_slow, b"/compute": answer_compute}


async def connection(reader, writer):
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            body = await ROUTES[head.split(b" ", 2)[1]]()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            await writer.drain()
    except asyncio.IncompleteReadError:
        pass
    finally:
        writer.close()


async def main():
    done = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, done.set)
    tls = None
    if sys.argv[2:]:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(*sys.argv[2:])
    server = await asyncio.start_server(connection, "127.0.0.1", 0, backlog=64, ssl=tls)
    os.write(int(sys.argv[1]), b"%d\n" % server.sockets[0].getsockname()[1])
    os.close(int(sys.argv[1]))
    await done.wait()
    print(json.dumps(selftime.INTERVALS), flush=True)
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(main())
