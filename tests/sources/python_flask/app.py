import sqlite3
import subprocess
import tempfile

from flask import Flask

from views import bp

app = Flask(__name__)
app.register_blueprint(bp, url_prefix="/shop")


@app.route("/convert", methods=["POST", "PUT"])
def convert():
    path = tempfile.mkstemp()
    for page in range(3):
        subprocess.run(["convert", "-page", page])
    log = open("convert.log", "a")
    log.write("done")
    return "ok"


def walk(node):
    for child in node.children:
        walk(child)


@app.get("/tree")
def tree():
    walk(root())
    return missing_module.call()


def root():
    return None
