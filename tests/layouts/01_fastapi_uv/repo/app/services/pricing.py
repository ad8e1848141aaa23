def total(lines: list[dict], coupon: str | None = None) -> float:
    whole = sum(line["price"] * line["count"] for line in lines)
    return whole - discount(whole, coupon)


def discount(whole: float, coupon: str | None) -> float:
    return whole * 0.1 if coupon else 0.0
