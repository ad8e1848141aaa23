"""A nightly job: sales of the day, read, joined with prices, summed by shop and week, written."""
import os
import tempfile

import numpy as np
import pandas as pd

ROWS = 120_000


def make(folder):
    chance = np.random.default_rng(7)
    sales = pd.DataFrame({"shop": chance.integers(0, 40, ROWS), "article": chance.integers(0, 500, ROWS),
                          "pieces": chance.integers(1, 9, ROWS),
                          "day": pd.Timestamp("2024-01-01") + pd.to_timedelta(chance.integers(0, 90, ROWS), "D")})
    sales.to_csv(os.path.join(folder, "sales.csv"), index=False)
    prices = pd.DataFrame({"article": range(500), "price": chance.uniform(1, 90, 500).round(2)})
    prices.to_csv(os.path.join(folder, "prices.csv"), index=False)


def report(folder):
    sales = pd.read_csv(os.path.join(folder, "sales.csv"), parse_dates=["day"])
    prices = pd.read_csv(os.path.join(folder, "prices.csv"))
    joined = sales.merge(prices, on="article")
    joined["turnover"] = joined["pieces"] * joined["price"]
    by_week = joined.groupby(["shop", pd.Grouper(key="day", freq="W")])["turnover"].agg(["sum", "mean", "count"])
    by_week.to_csv(os.path.join(folder, "report.csv"))
    return len(by_week)


with tempfile.TemporaryDirectory() as folder:
    make(folder)
    assert report(folder) > 400
