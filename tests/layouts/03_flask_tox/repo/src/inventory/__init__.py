from flask import Flask

from .stock import bp


def create_app():
    app = Flask(__name__)
    app.register_blueprint(bp, url_prefix="/stock")
    return app
