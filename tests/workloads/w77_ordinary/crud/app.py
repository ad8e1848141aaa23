"""A small shop's API: what a team writes on a Monday."""
import os

from fastapi import Depends, FastAPI, HTTPException
from pydantic import BaseModel
from sqlalchemy import ForeignKey, String, create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship, selectinload
from sqlalchemy.pool import StaticPool


class Base(DeclarativeBase):
    pass


class Customer(Base):
    __tablename__ = "customer"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(80))
    orders: Mapped[list["Order"]] = relationship(back_populates="customer", cascade="all, delete-orphan")


class Order(Base):
    __tablename__ = "order_"
    id: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[int] = mapped_column(ForeignKey("customer.id"))
    article: Mapped[str] = mapped_column(String(80))
    customer: Mapped[Customer] = relationship(back_populates="orders")


class NewCustomer(BaseModel):
    name: str


class NewOrder(BaseModel):
    article: str


def make_engine():
    url = os.environ.get("CRUD_URL")
    if url:
        return create_engine(url)
    return create_engine("sqlite://", connect_args={"check_same_thread": False}, poolclass=StaticPool)


engine = make_engine()
app = FastAPI()


def session():
    with Session(engine) as opened:
        yield opened


def found(db: Session, id: int) -> Customer:
    customer = db.get(Customer, id)
    if customer is None:
        raise HTTPException(404)
    return customer


@app.post("/customers", status_code=201)
def create_customer(new: NewCustomer, db: Session = Depends(session)):
    customer = Customer(name=new.name)
    db.add(customer)
    db.commit()
    return {"id": customer.id, "name": customer.name}


@app.get("/customers")
def list_customers(db: Session = Depends(session)):
    rows = db.scalars(select(Customer).options(selectinload(Customer.orders)).order_by(Customer.id))
    return [{"id": row.id, "name": row.name, "orders": [order.article for order in row.orders]} for row in rows]


@app.get("/customers/{id}")
def read_customer(id: int, db: Session = Depends(session)):
    customer = found(db, id)
    return {"id": customer.id, "name": customer.name}


@app.put("/customers/{id}")
def rename_customer(id: int, new: NewCustomer, db: Session = Depends(session)):
    customer = found(db, id)
    customer.name = new.name
    db.commit()
    return {"id": customer.id, "name": customer.name}


@app.delete("/customers/{id}", status_code=204)
def delete_customer(id: int, db: Session = Depends(session)):
    db.delete(found(db, id))
    db.commit()


@app.post("/customers/{id}/orders", status_code=201)
def create_order(id: int, new: NewOrder, db: Session = Depends(session)):
    order = Order(customer=found(db, id), article=new.article)
    db.add(order)
    db.commit()
    return {"id": order.id, "article": order.article}
