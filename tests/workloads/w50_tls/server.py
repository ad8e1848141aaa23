"""An HTTPS server, and a proxy that tunnels to it. Prints both ports, serves until its standard input ends, then prints what it
served: requests and connections, tunnels."""
import http.server, json, os, socket, ssl, sys, threading

os.chdir(os.path.dirname(os.path.abspath(__file__)))
LOCK = threading.Lock()
COUNT = {"requests": 0, "connections": 0, "tunnels": 0}


def add(what):
    with LOCK:
        COUNT[what] += 1


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def log_message(self, *words):
        pass

    def answer(self, status, body, **more):
        self.send_response(status)
        for name, value in more.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        add("requests")
        length = int(self.headers.get("content-length") or 0)
        while length > 0:
            length -= len(self.rfile.read(min(length, 65536)))
        if self.path == "/big":
            self.answer(200, b"x" * 300000)
        elif self.path == "/chunked":
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for _ in range(20):
                self.wfile.write(b"7d0\r\n" + b"x" * 2000 + b"\r\n")
            self.wfile.write(b"0\r\n\r\n")
        elif self.path == "/close":
            self.send_response(200)
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(b"y" * 5000)
            self.close_connection = True
        elif self.path.startswith("/redirect/") and self.path != "/redirect/0":
            self.answer(302, b"", Location="/redirect/%d" % (int(self.path.rsplit("/", 1)[1]) - 1))
        else:
            self.answer(200, b"z" * 500)

    do_POST = do_GET


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True

    def finish_request(self, request, address):
        # The handshake in the connection's own thread.
        request = CONTEXT.wrap_socket(request, server_side=True)
        add("connections")
        super().finish_request(request, address)
        request.close()

    def handle_error(self, request, address):
        pass


def pump(a, b):
    try:
        while data := a.recv(65536):
            b.sendall(data)
    except OSError:
        pass
    for end in (a, b):
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def proxy(listener):
    while True:
        client, _ = listener.accept()
        head = b""
        while b"\r\n\r\n" not in head:
            head += client.recv(4096)
        host, port = head.split()[1].decode().rsplit(":", 1)
        add("tunnels")
        server = socket.create_connection((host, int(port)))
        client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        threading.Thread(target=pump, args=(client, server), daemon=True).start()
        threading.Thread(target=pump, args=(server, client), daemon=True).start()


CONTEXT = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
CONTEXT.load_cert_chain("cert.pem", "key.pem")
if len(sys.argv) > 1 and sys.argv[1] == "1.2":
    CONTEXT.maximum_version = ssl.TLSVersion.TLSv1_2
server = Server(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
listener = socket.create_server(("127.0.0.1", 0))
threading.Thread(target=proxy, args=(listener,), daemon=True).start()
print(server.server_address[1], listener.getsockname()[1], flush=True)
sys.stdin.read()
print(json.dumps(COUNT), flush=True)
