"""Says by its environment who it is."""
from selftime import busy_cpu
from serve import serve


def price_order():
    return busy_cpu(40)


if __name__ == "__main__":
    serve(price_order)
