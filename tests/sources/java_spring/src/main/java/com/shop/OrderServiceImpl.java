package com.shop;

import org.springframework.stereotype.Service;
import org.springframework.web.client.RestTemplate;
import java.io.FileInputStream;
import java.nio.file.Files;

@Service
public class OrderServiceImpl implements OrderService {
    private final OrderRepository repository;
    private final RestTemplate rest = new RestTemplate();

    public OrderServiceImpl(OrderRepository repository) {
        this.repository = repository;
    }

    @Override
    public Order find(long id) {
        Order order = repository.findById(id).orElseThrow();
        order.setPrice(price(order));
        return order;
    }

    private long price(Order order) {
        Prices prices = rest.getForObject("http://prices:9000/prices/" + order.getSku(), Prices.class);
        return prices.total();
    }
}
