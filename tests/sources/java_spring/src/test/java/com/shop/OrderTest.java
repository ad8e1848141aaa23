package com.shop;

class OrderTest {
    @Test
    void finds() throws Exception {
        mockMvc.perform(get("/api/orders/1")).andExpect(status().isOk());
    }
}
