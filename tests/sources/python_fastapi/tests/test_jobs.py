def test_health(client):
    settings = client.get("settings")
    assert client.get("/health").json() == {"ok": True}
