"""A threaded HTTP/1.1 server: a thread for each connection. On SIGTERM it prints when its handlers were inside, by the clock
that the client reads as well. usage: server.py READY_FD"""
import json, os, signal, sys, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import selftime
from selftime import sect


def look_up():
    with sect("look_up", keep=True):
        time.sleep(0.012)


def render():
    with sect("render", keep=True):
        selftime.busy_cpu(0.5)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        look_up()
        render()
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"there")

    def log_message(self, *words):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64


def main():
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    os.write(int(sys.argv[1]), b"%d\n" % server.server_address[1])
    os.close(int(sys.argv[1]))
    signal.sigwait({signal.SIGTERM})
    print(json.dumps(selftime.INTERVALS), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
