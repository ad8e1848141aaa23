package com.shop;

public interface OrderService {
    Order find(long id);
}
