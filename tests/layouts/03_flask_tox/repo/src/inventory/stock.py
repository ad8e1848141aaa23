from flask import Blueprint, jsonify, request

bp = Blueprint("stock", __name__)
SHELF = {}


@bp.route("/<sku>", methods=["GET", "PUT"])
def one(sku):
    if request.method == "PUT":
        SHELF[sku] = request.get_json()
    return jsonify(SHELF.get(sku))


@bp.route("/")
def everything():
    return jsonify(count(SHELF))


def count(shelf):
    return {sku: len(items) for sku, items in shelf.items()}
