package org.example.bookings;

public record Booking(long id, String name) {}
