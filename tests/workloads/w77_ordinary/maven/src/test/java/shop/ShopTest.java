package shop;

import static org.junit.Assert.*;

import org.junit.Test;

public class ShopTest {
    @Test
    public void whatIsAddedIsFound() {
        Shop shop = new Shop();
        shop.add("pen", 120);
        assertEquals(Integer.valueOf(120), shop.price("pen").get());
        assertFalse(shop.price("ink").isPresent());
    }

    @Test(expected = IllegalArgumentException.class)
    public void nothingCostsLessThanNothing() {
        new Shop().add("pen", -1);
    }

    @Test
    public void aTotal() {
        Shop shop = new Shop();
        for (int i = 0; i < 1000; i++) shop.add("article " + i, i);
        assertEquals(499500, shop.total());
    }
}
