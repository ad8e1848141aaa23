"""A Django site of one file, its development server, and a few requests to it."""
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))


def main():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        environment = dict(os.environ, SITE_DB=os.path.join(folder, "site.db"))
        manage = [sys.executable, "-B", os.path.join(HERE, "manage.py")]
        subprocess.run(manage + ["fill"], check=True, env=environment)
        server = subprocess.Popen(manage + ["runserver", "--noreload", str(port)], env=environment,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port)).close()
                    break
                except OSError:
                    time.sleep(0.05)
            for path in ("/", "/articles/3/", "/"):
                with urllib.request.urlopen("http://127.0.0.1:%d%s" % (port, path)) as answer:
                    assert b"<h1>" in answer.read()
        finally:
            server.terminate()
            server.wait()


main()
