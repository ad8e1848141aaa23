import sqlite3


def load(item_id):
    conn = sqlite3.connect("shop.db")
    row = conn.execute("SELECT name FROM items WHERE id = ?", (item_id,)).fetchone()
    return deeper1(row)


def deeper1(row):
    return deeper2(row)


def deeper2(row):
    return deeper3(row)


def deeper3(row):
    return deeper4(row)


def deeper4(row):
    return deeper5(row)


def deeper5(row):
    return str(row)
