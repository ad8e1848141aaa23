import pytest


def test_a_new_customer_is_found(client):
    made = client.post("/customers", json={"name": "Ada"})
    assert made.status_code == 201
    assert client.get("/customers/%d" % made.json()["id"]).json()["name"] == "Ada"


@pytest.mark.parametrize("name", ["Grace", "Edsger", "Barbara", "Tony", "Frances", "Alan"])
def test_a_customer_is_renamed(client, ada, name):
    assert client.put("/customers/%d" % ada, json={"name": name}).json()["name"] == name
    assert client.get("/customers/%d" % ada).json()["name"] == name


def test_a_customer_is_deleted(client, ada):
    assert client.delete("/customers/%d" % ada).status_code == 204
    assert client.get("/customers/%d" % ada).status_code == 404


def test_nobody_is_found_where_nobody_is(client):
    assert client.get("/customers/77").status_code == 404
    assert client.put("/customers/77", json={"name": "x"}).status_code == 404
    assert client.delete("/customers/77").status_code == 404


def test_a_customer_needs_a_name(client):
    assert client.post("/customers", json={}).status_code == 422


@pytest.mark.parametrize("article", ["pen", "paper", "ink"])
def test_an_order_is_listed(client, ada, article):
    assert client.post("/customers/%d/orders" % ada, json={"article": article}).status_code == 201
    assert client.get("/customers").json() == [{"id": ada, "name": "Ada", "orders": [article]}]


def test_a_list_of_customers(client):
    for name in ("Ada", "Grace", "Edsger"):
        client.post("/customers", json={"name": name})
    assert [row["name"] for row in client.get("/customers").json()] == ["Ada", "Grace", "Edsger"]
