import pytest

from inventory import create_app


@pytest.fixture
def client():
    return create_app().test_client()


def test_put(client):
    assert client.put("/stock/a1", json=[1]).status_code == 200


def test_everything(client):
    # client.get("/stock/zz") is another route
    assert client.get("/stock/").get_json() == {}
