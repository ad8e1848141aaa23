from fastapi import FastAPI

app = FastAPI()


@app.get("/orders/{order_id}")
def show(order_id: int):
    return {"id": order_id}


@app.put("/orders/{order_id}")
def change(order_id: int, body: dict):
    return body
