"""A service that runs before anybody measures: `server.py NAME PORTFILE [--next PORT] [--workers N]`.

/cpu burns CPU in `burn`, /nap sleeps in `doze`, /chain asks the service at --next (/cpu there) over one connection that is kept
for its whole life. Every answer says how long its handler took: {"ms": wall, "pid": who}. /open only opens that connection.
With --workers the listener is shared by forked processes, and the first one never answers anything."""
import argparse, http.client, json, os, signal, sys, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

UPSTREAM = None
LOCK = threading.Lock()


def burn(ms):
    end = time.thread_time_ns() + int(ms * 1e6)
    x = 1
    while time.thread_time_ns() < end:
        for _ in range(400):
            x = (x * 1103515245 + 12345) & 0x7FFFFFFF
    return x


def doze(ms):
    time.sleep(ms / 1000)


def forward(path):
    with LOCK:
        UPSTREAM.request("GET", path)
        return json.loads(UPSTREAM.getresponse().read())


def handle(path):
    if path == "/cpu":
        burn(60)
    elif path == "/nap":
        doze(50)
    elif path == "/chain":
        return {"inner_ms": forward("/cpu")["ms"]}
    elif path == "/open":
        forward("/hello")
    return {}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def log_message(self, *a):
        pass

    def do_GET(self):
        t = time.perf_counter_ns()
        more = handle(self.path.split("?")[0])
        body = json.dumps(dict(more, ms=(time.perf_counter_ns() - t) / 1e6, pid=os.getpid())).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Server(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True


def main():
    global UPSTREAM
    a = argparse.ArgumentParser()
    a.add_argument("name")
    a.add_argument("portfile")
    a.add_argument("--next", type=int)
    a.add_argument("--workers", type=int, default=0)
    a = a.parse_args()
    server = Server(("127.0.0.1", 0), Handler)
    for _ in range(a.workers):
        if os.fork() == 0:
            import ctypes
            ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)
            break
    else:
        with open(a.portfile + ".tmp", "w") as f:
            f.write(str(server.server_address[1]))
        os.replace(a.portfile + ".tmp", a.portfile)
        if a.workers:
            while True:
                signal.pause()
    if a.next:
        UPSTREAM = http.client.HTTPConnection("127.0.0.1", a.next)
    server.serve_forever(poll_interval=3600)


if __name__ == "__main__":
    main()
