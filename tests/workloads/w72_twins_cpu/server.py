"""A service that answers each request after some time: thinking (on the CPU) or waiting."""
import http.server, sys, time

HOW, MS = sys.argv[1], int(sys.argv[2])


def think():
    end, x = time.thread_time_ns() + MS * 1_000_000, 1
    while time.thread_time_ns() < end:
        for _ in range(400):
            x = (x * 1103515245 + 12345) & 0x7FFFFFFF
    return x


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        think() if HOW == "think" else time.sleep(MS / 1000)
        body = b"done"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *a):
        pass


server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
