"""An asyncio HTTP/1.1 server whose routes await timers. On SIGTERM it prints how many requests it answered on each.
usage: server.py READY_FD [CERTIFICATE KEY]"""
import asyncio, collections, json, os, signal, ssl, sys

answered = collections.Counter()


async def answer_timer():
    await asyncio.sleep(0.02)


async def answer_slow():
    await asyncio.sleep(0.05)


ROUTES = {"/timer": answer_timer, "/slow": answer_slow}


async def connection(reader, writer):
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            for line in head.lower().split("\r\n"):
                if line.startswith("content-length:"):
                    await reader.readexactly(int(line.split(":")[1]))
                elif line == "transfer-encoding: chunked":
                    await reader.readuntil(b"0\r\n\r\n")
            route = head.split(" ", 2)[1]
            await ROUTES[route]()
            answered[route] += 1
            close = "connection: close" in head.lower()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n%s\r\nok" % (b"Connection: close\r\n" if close else b""))
            await writer.drain()
            if close:
                break
    except (asyncio.IncompleteReadError, ConnectionError):
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
    print(json.dumps(answered), flush=True)
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(main())
