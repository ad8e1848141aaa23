"""A small HTTP/1.1 server for one request handler: announces its port, answers until its standard input ends."""
import os, sys, threading, time
from http.server import BaseHTTPRequestHandler, HTTPServer
from socketserver import UnixStreamServer


class OnPath(UnixStreamServer):
    def get_request(self):
        connection, _ = super().get_request()
        return connection, ("unix", 0)


def serve(work, port=0):
    """on a port, or on the path of a Unix socket"""
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            began = time.thread_time_ns()
            work()
            body = b"%d\n" % (time.thread_time_ns() - began)  # CPU time that it took
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    if isinstance(port, str):
        server = OnPath(port, Handler)
    else:
        server = HTTPServer((os.environ.get("WL_HOST", "127.0.0.1"), port), Handler)

    def until_alone():
        sys.stdin.buffer.read()
        os._exit(0)

    threading.Thread(target=until_alone, daemon=True).start()
    print(1 if isinstance(port, str) else server.server_address[1], flush=True)
    server.serve_forever()
