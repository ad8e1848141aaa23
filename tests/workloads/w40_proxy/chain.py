"""One client, three services deep: client → nginx → front (threaded) → store (threaded), all on ports of their own.
`front` reads from `store` once per request and computes; `store` computes. Each says what it did when it is told to end;
nginx's access log is the third witness."""
import http.client, json, os, shutil, signal, socket, subprocess, sys, tempfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
import selftime
from selftime import sect

N = int(os.environ.get("WL_N", "12"))
HERE = os.path.dirname(os.path.abspath(__file__))


def look_up(port, path):
    with sect("look_up"):
        c = http.client.HTTPConnection("127.0.0.1", port)
        c.request("GET", path)
        body = c.getresponse().read()
        c.close()
        return body


def render_page():
    with sect("render_page"):
        selftime.busy_cpu(15)


def scan_rows():
    with sect("scan_rows"):
        selftime.busy_cpu(25)


def serve(name, port, below, log):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1

        def log_message(self, *words):
            pass

        def do_GET(self):
            with sect("requests"):
                if below:
                    body = look_up(below, "/rows" + self.path)
                    render_page()
                else:
                    scan_rows()
                    body = b"r" * 400
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True

    def over(*_):
        with open(log, "w") as f:
            json.dump(selftime.ACC, f)
        os._exit(0)

    signal.signal(signal.SIGTERM, over)
    server.serve_forever(0.05)


CONF = """
worker_processes 1; daemon off; pid %(d)s/pid; error_log %(d)s/error.log; %(user)s
events { worker_connections 64; }
http {
  access_log %(d)s/access.log; client_body_temp_path %(d)s/1; proxy_temp_path %(d)s/2; fastcgi_temp_path %(d)s/3;
  uwsgi_temp_path %(d)s/4; scgi_temp_path %(d)s/5; keepalive_requests 1000;
  server { listen 127.0.0.1:%(port)d; location / { proxy_pass http://127.0.0.1:%(to)d; proxy_http_version 1.1; proxy_set_header Connection ""; } }
}
"""


def free_ports(n):
    # Below the range from which clients get theirs.
    found, port = [], 18000 + os.getpid() % 4000
    while len(found) < n:
        port += 1
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
                found.append(port)
            except OSError:
                pass
    return found


def wait_for(port):
    import time
    for _ in range(1000):
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.01)
    sys.exit("nothing listens on %d" % port)


def load_pages(port):
    with sect("load_pages"):
        c = http.client.HTTPConnection("127.0.0.1", port)
        for i in range(N):
            c.request("GET", "/page/%d" % i)
            assert len(c.getresponse().read()) == 400
        c.close()


def main():
    d = tempfile.mkdtemp(prefix="w40-")
    try:
        edge, front, store = free_ports(3)
        me = [sys.executable, os.path.abspath(__file__)]
        logs = {n: os.path.join(d, n) for n in ("front", "store")}
        children = [subprocess.Popen(me + ["store", str(store), "0", logs["store"]]),
                    subprocess.Popen(me + ["front", str(front), str(store), logs["front"]])]
        with open(d + "/conf", "w") as f:
            f.write(CONF % dict(d=d, port=edge, to=front, user="user root;" if os.getuid() == 0 else ""))
        children.append(subprocess.Popen([shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin"), "-p", d, "-c", d + "/conf", "-e", d + "/error.log"]))
        for port in (edge, front, store):
            wait_for(port)
        load_pages(edge)
        for child in children:
            child.send_signal(signal.SIGTERM)
        for child in children:
            child.wait()
        seen = {}
        for name, log in logs.items():
            with open(log) as f:
                seen.update({(name, k): v for k, v in json.load(f).items()})
        with open(d + "/access.log") as f:
            proxied = len(f.read().splitlines())
    finally:
        shutil.rmtree(d, ignore_errors=True)
    below = [dict(function=k, calls=v[0], wall_ms=v[1] / 1e6, cpu_ms=v[2] / 1e6)
             for (name, k), v in seen.items() if k in ("look_up", "render_page", "scan_rows")]
    peer = lambda service, port, n, connections: dict(service=service, port=port, round_trips=n, connections=connections, failed=0)
    selftime.finish("w40_proxy", "default", functions=[selftime.fn("load_pages", kind="http_call", http_round_trips=N)] + below,
                    http=dict(peers=[peer("nginx", edge, N, 2), peer("front", front, proxied, None),
                                     peer("store", store, seen["front", "look_up"][0], None)]),
                    baseline=dict(http_round_trips=dict(value=3 * N)))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        serve(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
    else:
        main()
