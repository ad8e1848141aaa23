ORDER = {"lines": [{"price": 2, "count": 3}]}


class TestOrders:
    def test_create(self, client):
        assert client.post("/api/v1/orders", json=ORDER).status_code == 201

    def test_show(self, client):
        made = client.post("/api/v1/orders", json=ORDER).json()
        assert client.get(f"/api/v1/orders/{made['id']}").json() == made
