"""Servers whose handlers await timers: aiohttp's own (`tls`: with the certificate), or a plain ASGI application under uvicorn on
uvloop. usage: server.py aiohttp|tls|uvicorn READY_FD"""
import asyncio, os, signal, socket, ssl, sys


async def pause(ms):
    await asyncio.sleep(ms / 1000)


async def answer_timer():
    await pause(20)
    return b"t" * 40


async def answer_slow():
    await asyncio.sleep(0.06)
    return b"s" * 40


ROUTES = {"/timer": answer_timer, "/slow": answer_slow}


async def handle(request):
    from aiohttp import web

    return web.Response(body=await ROUTES[request.path]())


async def application(scope, receive, send):
    if scope["type"] != "http":
        return
    body = await ROUTES[scope["path"]]()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


async def with_aiohttp(listener, tls):
    from aiohttp import web

    done = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, done.set)
    app = web.Application()
    for path in ROUTES:
        app.router.add_get(path, handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.SockSite(runner, listener, ssl_context=tls).start()
    ready(listener)
    await done.wait()
    os._exit(0)


def ready(listener):
    os.write(int(sys.argv[2]), b"%d\n" % listener.getsockname()[1])
    os.close(int(sys.argv[2]))


def main():
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    if sys.argv[1] == "uvicorn":
        import uvicorn

        ready(listener)
        uvicorn.Server(uvicorn.Config(application, loop="uvloop", log_level="warning")).run(sockets=[listener])
        return
    tls = None
    if sys.argv[1] == "tls":
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain("cert.pem", "key.pem")
    asyncio.run(with_aiohttp(listener, tls))


if __name__ == "__main__":
    main()
