import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time

import pytest


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Postgres:
    """A server of its own, which knows nothing of the disk."""

    def __init__(self):
        versions = sorted(os.listdir("/usr/lib/postgresql"), key=int)
        self.binaries = "/usr/lib/postgresql/%s/bin/" % versions[-1]
        self.folder, self.port = tempfile.mkdtemp(prefix="ordinary-"), free_port()
        self.user = {}
        if os.getuid() == 0:
            user = pwd.getpwnam("postgres")
            os.chown(self.folder, user.pw_uid, user.pw_gid)
            self.user = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": [], "cwd": "/"}
        data = self.folder + "/data"
        subprocess.run([self.binaries + "initdb", "-D", data, "-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-sync"],
                       check=True, stdout=subprocess.DEVNULL, **self.user)
        self.server = subprocess.Popen([self.binaries + "postgres", "-D", data, "-p", str(self.port), "-k", self.folder,
                                        "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"],
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **self.user)
        ready = [self.binaries + "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        while subprocess.run(ready).returncode:
            time.sleep(0.05)
        self.url = "postgresql+psycopg://postgres@127.0.0.1:%d/postgres" % self.port

    def stop(self):
        self.server.send_signal(2)
        self.server.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


postgres = None
if os.environ.get("CRUD") == "crud_pg":
    postgres = Postgres()
    os.environ["CRUD_URL"] = postgres.url

import app as shop  # noqa: E402: the engine is made when it is imported
from fastapi.testclient import TestClient  # noqa: E402


def pytest_unconfigure():
    if postgres:
        shop.engine.dispose()
        postgres.stop()


@pytest.fixture
def client():
    shop.Base.metadata.create_all(shop.engine)
    yield TestClient(shop.app)
    shop.Base.metadata.drop_all(shop.engine)


@pytest.fixture
def ada(client):
    return client.post("/customers", json={"name": "Ada"}).json()["id"]
