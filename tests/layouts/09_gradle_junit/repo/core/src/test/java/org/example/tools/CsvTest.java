package org.example.tools;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;

class CsvTest {
    @Test
    void splits() {
        assertEquals(2, Csv.cells("a,b", ',').size());
    }
}
