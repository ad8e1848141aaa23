package org.example.tools;

import java.util.List;

public class Csv {
    public static List<String> cells(String line, char separator) {
        return List.of(line.split(String.valueOf(separator)));
    }

    static String quote(String cell) {
        return '"' + cell + '"';
    }
}
