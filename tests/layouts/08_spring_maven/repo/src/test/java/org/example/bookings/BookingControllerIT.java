package org.example.bookings;

import static org.springframework.test.web.servlet.request.MockMvcRequestBuilders.post;

import org.junit.jupiter.api.Test;

class BookingControllerIT {
    @Test
    void creates() throws Exception {
        mvc.perform(post("/api/bookings").content("{}"));
    }
}
