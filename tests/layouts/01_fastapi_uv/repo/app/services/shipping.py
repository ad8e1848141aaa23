RATES = {"de": 4.9, "fr": 6.9}


def quote(country: str, weight_kg: float, express: bool = False) -> float:
    return RATES.get(country, 12.5) * max(1.0, weight_kg) * (2 if express else 1)
