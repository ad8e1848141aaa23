"""An HTTP/2 server in clear text (hypercorn) that counts its requests and connections. On SIGTERM it prints its counters as JSON.
usage: server.py READY_FD"""
import asyncio, ctypes, json, os, signal, socket, sys

C = dict(round_trips=0, versions={}, by_path={})
CONNECTIONS = set()


async def app(scope, receive, send):
    if scope["type"] != "http":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"].endswith("shutdown"):
                return
    path = scope["path"]
    C["round_trips"] += 1
    C["versions"][scope["http_version"]] = C["versions"].get(scope["http_version"], 0) + 1
    C["by_path"][path] = C["by_path"].get(path, 0) + 1
    CONNECTIONS.add(tuple(scope["client"]))
    while (await receive()).get("more_body"):
        pass
    await asyncio.sleep(0.003)
    size = 150000 if path == "/big" else 200
    headers = [(b"content-length", b"%d" % size), (b"set-cookie", b"s3cr3t-t0ken")]
    await send({"type": "http.response.start", "status": 404 if path == "/missing" else 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"b" * size})


async def main(ready):
    from hypercorn.asyncio import serve
    from hypercorn.config import Config
    over = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
    listener = socket.create_server(("127.0.0.1", 0))
    config = Config()
    config.bind = ["fd://%d" % listener.fileno()]
    config.accesslog = config.errorlog = None
    server = asyncio.create_task(serve(app, config, shutdown_trigger=over.wait))
    # The port listens already: who connects before the server is ready waits in its queue.
    os.write(ready, b"%d\n" % listener.getsockname()[1])
    await server
    print(json.dumps(dict(C, connections=len(CONNECTIONS))), flush=True)


ctypes.CDLL(None).prctl(1, signal.SIGTERM, 0, 0, 0)
asyncio.run(main(int(sys.argv[1])))
