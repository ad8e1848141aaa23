import sqlite3

from flask import Blueprint

import store

bp = Blueprint("shop", __name__, url_prefix="/ignored")


@bp.get("/items/<int:item_id>")
def item(item_id):
    return store.load(item_id)
