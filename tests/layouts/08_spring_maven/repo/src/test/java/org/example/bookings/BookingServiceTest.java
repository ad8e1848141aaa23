package org.example.bookings;

import org.junit.jupiter.api.Test;

class BookingServiceTest {
    private final BookingService service = new BookingService();

    @Test
    void finds() {
        assert service.find(1) != null;
    }
}
