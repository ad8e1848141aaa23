package shop;

import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;

public final class Shop {
    private final Map<String, Integer> prices = new ConcurrentHashMap<>();

    public void add(String name, int price) {
        if (price < 0) throw new IllegalArgumentException(name + " costs nothing");
        prices.put(name, price);
    }

    public Optional<Integer> price(String name) {
        return Optional.ofNullable(prices.get(name));
    }

    public int total() {
        return prices.values().stream().mapToInt(Integer::intValue).sum();
    }
}
