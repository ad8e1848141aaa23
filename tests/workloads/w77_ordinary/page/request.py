"""A Flask page behind the development server of its own process, asked for a few times over one connection."""
import http.client
import logging
import sqlite3
import threading

from flask import Flask, abort, g, render_template_string
from werkzeug.serving import make_server

app = Flask(__name__)
PAGE = "<h1>{{ title }}</h1><ul>{% for row in rows %}<li>{{ row[0] }}: {{ row[1] }}</li>{% endfor %}</ul>"
SHARED = "file:page?mode=memory&cache=shared"


def store():
    if "store" not in g:
        g.store = sqlite3.connect(SHARED, uri=True)
    return g.store


@app.teardown_appcontext
def close(_):
    opened = g.pop("store", None)
    if opened:
        opened.close()


@app.route("/")
def front():
    return render_template_string(PAGE, title="All", rows=store().execute("select name, price from article order by name"))


@app.route("/<name>")
def one(name):
    rows = store().execute("select name, price from article where name = ?", (name,)).fetchall()
    return render_template_string(PAGE, title=name, rows=rows) if rows else abort(404)


def main():
    keeps = sqlite3.connect(SHARED, uri=True)
    keeps.execute("create table article(name, price)")
    keeps.executemany("insert into article values(?,?)", [("article %d" % i, i) for i in range(40)])
    keeps.commit()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = make_server("127.0.0.1", 0, app, threaded=True)
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    try:
        client = http.client.HTTPConnection("127.0.0.1", server.server_port)
        for path, status in (("/", 200), ("/article%207", 200), ("/nothing", 404), ("/", 200)):
            client.request("GET", path)
            answer = client.getresponse()
            answer.read()
            assert answer.status == status, (path, answer.status)
        client.close()
    finally:
        server.shutdown()
        serving.join()


main()
