package org.example.bookings;

import org.springframework.web.bind.annotation.*;

@RestController
@RequestMapping("/api/bookings")
public class BookingController {
    private final BookingService service;

    public BookingController(BookingService service) {
        this.service = service;
    }

    @GetMapping("/{id}")
    public Booking one(@PathVariable long id) {
        return service.find(id);
    }

    @PostMapping(consumes = "application/json")
    @ResponseStatus(org.springframework.http.HttpStatus.CREATED)
    public Booking create(@RequestBody Booking booking) {
        return service.save(booking);
    }
}
