from fastapi import APIRouter, HTTPException

from app.services import pricing

router = APIRouter(prefix="/orders", tags=["orders"])
STORE: dict[int, dict] = {}


@router.post(
    "",
    status_code=201,
)
async def create_order(body: dict) -> dict:
    order = {"id": len(STORE) + 1, "total": pricing.total(body["lines"], body.get("coupon"))}
    STORE[order["id"]] = order
    return order


@router.get("/{order_id}")
async def show_order(order_id: int) -> dict:
    if order_id not in STORE:
        raise HTTPException(404)
    return STORE[order_id]


@router.delete("/{order_id}")
async def cancel_order(order_id: int) -> None:
    STORE.pop(order_id, None)
