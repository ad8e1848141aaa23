from app.services.pricing import total


def test_total_of_nothing():
    assert total([]) == 0


def test_coupon():
    assert total([{"price": 10, "count": 1}], "TEN") == 9
