package org.example.cli;

public class Main {
    public static void main(String[] words) {
        System.out.println(org.example.tools.Csv.cells(words[0], ','));
    }
}
