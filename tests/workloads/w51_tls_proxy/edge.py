"""A client over TLS → nginx (edge) that ends TLS → a plain HTTP service, or over TLS again → a second nginx (vault). Each
nginx's access log is the truth of what it served: requests, and the connections that they came on; the service counts its own."""
import collections, http.client, json, os, shutil, signal, socket, ssl, subprocess, sys, tempfile, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
import selftime
from selftime import sect

HERE = os.path.dirname(os.path.abspath(__file__))
SHAPE = sys.argv[1] if len(sys.argv) > 1 else "python"
CERT, KEY = os.path.join(HERE, "cert.pem"), os.path.join(HERE, "key.pem")

HEAD = """
worker_processes %(workers)d; daemon off; pid %(d)s/%(name)s.pid; error_log %(d)s/%(name)s.error; %(user)s
events { worker_connections 128; }
http {
  log_format counted '$connection $status $request_uri'; access_log %(d)s/%(name)s.log counted;
  client_body_temp_path %(d)s/%(name)s1; proxy_temp_path %(d)s/%(name)s2; fastcgi_temp_path %(d)s/%(name)s3;
  uwsgi_temp_path %(d)s/%(name)s4; scgi_temp_path %(d)s/%(name)s5;
  client_max_body_size 10m; ssl_certificate %(cert)s; ssl_certificate_key %(key)s;
"""
EDGE = HEAD + """
  upstream vault { server 127.0.0.1:%(vault)d; keepalive 4; }
  server { listen 127.0.0.1:%(edge)d ssl http2;
    location /plain { proxy_pass http://127.0.0.1:%(plain)d; proxy_http_version 1.1; proxy_set_header Connection ""; }
    location /vault { proxy_pass https://vault; proxy_http_version 1.1; proxy_set_header Connection ""; }
    location /own { return 200 "here"; } }
}
"""
VAULT = HEAD + """
  server { listen 127.0.0.1:%(vault)d ssl; root %(d)s;
    location /vault/small { return 200 "kept here"; }
    location /vault/large { alias %(d)s/large; }
    location / { return 404; } }
}
"""


class Service(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    served = {"requests": 0, "connections": 0}
    lock = threading.Lock()

    def log_message(self, *words):
        pass

    def setup(self):
        super().setup()
        with self.lock:
            self.served["connections"] += 1

    def do_GET(self):
        with self.lock:
            self.served["requests"] += 1
        left = int(self.headers.get("content-length") or 0)
        while left > 0:
            left -= len(self.rfile.read(min(left, 65536)))
        body = b"p" * 700
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET


def serve(port, log):
    server = ThreadingHTTPServer(("127.0.0.1", port), Service)
    server.daemon_threads = True

    def over(*_):
        with open(log, "w") as f:
            json.dump(Service.served, f)
        os._exit(0)

    signal.signal(signal.SIGTERM, over)
    server.serve_forever(0.05)


def free_ports(n):
    # Below the range from which clients get theirs.
    found, port = [], 22000 + os.getpid() % 4000
    while len(found) < n:
        port += 1
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
                found.append(port)
            except OSError:
                pass
    return found


def listens(port):
    """Whether somebody listens there, without a connection that would be counted."""
    wanted = ":%04X 00000000:0000 0A" % port
    with open("/proc/net/tcp") as f:
        return any(wanted in line for line in f)


def wait_for(port):
    for _ in range(1000):
        if listens(port):
            return
        time.sleep(0.01)
    sys.exit("nothing listens on %d" % port)


PATHS = ["/own", "/plain/a", "/vault/small", "/vault/large", "/plain/b", "/none"]


def ask(over, path, body=None):
    over.request("POST" if body else "GET", path, body)
    answer = over.getresponse()
    size = len(answer.read())
    assert answer.status == (404 if path == "/none" else 200), (path, answer.status)
    assert size == 300000 or path != "/vault/large"


def ask_edge(port, rounds):
    """On one kept connection, then one request on each of new ones; a large body up."""
    with sect("ask_edge"):
        context = ssl.create_default_context(cafile=CERT)
        kept = http.client.HTTPSConnection("localhost", port, context=context, timeout=20)
        for _ in range(rounds):
            for path in PATHS:
                ask(kept, path)
        ask(kept, "/plain/up", b"GET /not/a/request HTTP/1.1\r\nHost: x\r\n\r\n" * 20000)
        kept.close()
        for path in PATHS:
            over = http.client.HTTPSConnection("localhost", port, context=context, timeout=20)
            ask(over, path)
            over.close()


def ask_http2(port):
    """Sixteen streams of one connection at once."""
    urls = ["https://localhost:%d%s?%d" % (port, path, i) for i in range(4) for path in PATHS[:4]]
    words = ["curl", "-sS", "--http2", "--cacert", CERT, "--noproxy", "*", "--parallel"]
    for url in urls:
        words += ["-o", "/dev/null", url]
    subprocess.run(words, check=True)


def nginx(conf):
    program = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin:/sbin")
    name = os.path.splitext(conf)[0]
    return subprocess.Popen([program, "-p", os.path.dirname(conf), "-c", conf, "-e", name + ".error"])


def log_of(d, name):
    with open(os.path.join(d, name + ".log")) as f:
        lines = [line.split() for line in f]
    return len(lines), len({line[0] for line in lines}), collections.Counter(line[2] for line in lines)


def main():
    d = tempfile.mkdtemp(prefix="w51-")
    os.chmod(d, 0o755)
    try:
        edge, vault, plain = free_ports(3)
        user = "user root;" if os.getuid() == 0 else ""
        names = dict(d=d, cert=CERT, key=KEY, user=user, edge=edge, vault=vault, plain=plain)
        with open(d + "/large", "w") as f:
            f.write("x" * 300000)
        children = [subprocess.Popen([sys.executable, os.path.abspath(__file__), "service", str(plain), d + "/plain.json"])]
        for name, text, workers in ("vault", VAULT, 1), ("edge", EDGE, 2 if SHAPE == "threads" else 1):
            conf = "%s/%s.conf" % (d, name)
            with open(conf, "w") as f:
                f.write(text % dict(names, name=name, workers=workers))
            children.append(nginx(conf))
        for port in (edge, vault, plain):
            wait_for(port)
        if SHAPE == "attached":
            # Somebody watches the edge alone, from now to the second line.
            print(children[-1].pid, edge, flush=True)
            sys.stdin.readline()
            ask_edge(edge, 3)
            print("asked", flush=True)
            sys.stdin.readline()
        elif SHAPE == "http2":
            ask_http2(edge)
        elif SHAPE == "threads":
            threads = [threading.Thread(target=ask_edge, args=(edge, 2)) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        else:
            ask_edge(edge, 3)
        for child in reversed(children):
            # nginx: once the connections are done.
            child.send_signal(signal.SIGTERM if child is children[0] else signal.SIGQUIT)
            child.wait()
        with open(d + "/plain.json") as f:
            served = json.load(f)
        logs = {name: log_of(d, name) for name in ("edge", "vault")}
    finally:
        shutil.rmtree(d, ignore_errors=True)

    def peer(service, port, counted):
        return dict(service=service, port=port, round_trips=counted[0], connections=counted[1], failed=0)

    peers = [peer("edge", edge, logs["edge"]), peer("vault", vault, logs["vault"]),
             peer("plain", plain, (served["requests"], served["connections"]))]
    selftime.finish("w51_tls_proxy", SHAPE, functions=[], http=dict(peers=peers), served=logs["edge"][2])


if SHAPE == "service":
    serve(int(sys.argv[2]), sys.argv[3])
else:
    main()
