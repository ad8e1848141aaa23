package com.shop;

import org.springframework.web.bind.annotation.*;

@RestController
@RequestMapping("/api/orders")
public class OrderController {
    private final OrderService orders;

    public OrderController(OrderService orders) {
        this.orders = orders;
    }

    @GetMapping("/{id}")
    public Order find(@PathVariable long id) {
        return orders.find(id);
    }

    @RequestMapping(value = "/import", method = RequestMethod.POST)
    public void importAll(@RequestBody List<Long> ids) {
        for (Long id : ids) {
            orders.find(id);
        }
    }
}
