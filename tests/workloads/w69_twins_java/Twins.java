import java.io.BufferedInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.lang.management.ManagementFactory;
import java.net.Socket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Scanner;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import javax.management.ObjectName;

/**
 * Faults of the catalogue in Java, in one run, and the same work without them in another: Twins several.bad | several.good.
 * A client, with its own selector and connections, for each request; one query for each row; futures, each waited for before the next.
 * The work is measured by the program itself.
 */
public class Twins {
    static int web;
    static int store;

    /** Writes /tmp/perf-PID.map: the names of the code that is compiled by now. */
    static void nameCode() throws Exception {
        var commands = new ObjectName("com.sun.management:type=DiagnosticCommand");
        ManagementFactory.getPlatformMBeanServer().invoke(commands, "compilerPerfmap", new Object[0], new String[0]);
    }

    static HttpClient client() {
        return HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
    }

    static HttpRequest request(String path) {
        return HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + web + path)).build();
    }

    /** As a store would name it. */
    static String name(int i) {
        return UUID.nameUUIDFromBytes(("item " + i).getBytes(StandardCharsets.UTF_8)).toString();
    }

    static CompletableFuture<HttpResponse<String>> loadItem(HttpClient client, int i) {
        return client.sendAsync(request("/t/30/item/" + name(i)), HttpResponse.BodyHandlers.ofString());
    }

    static void loadInTurn(int items) {
        for (int i = 0; i < items; i++) loadItem(client(), i).join();
    }

    static void loadAtOnce(int items) {
        HttpClient client = client();
        List<CompletableFuture<?>> all = new ArrayList<>();
        for (int i = 0; i < items; i++) all.add(loadItem(client, i));
        all.forEach(CompletableFuture::join);
    }

    /** A cache's commands over one connection. */
    static final class Store implements AutoCloseable {
        final Socket socket = new Socket("127.0.0.1", store);
        final InputStream answers = new BufferedInputStream(socket.getInputStream());

        Store() throws IOException {
            socket.setTcpNoDelay(true);
        }

        String line() throws IOException {
            StringBuilder line = new StringBuilder();
            for (int c = answers.read(); c != '\n'; c = answers.read()) {
                if (c < 0) throw new IOException("the store has closed");
                line.append((char) c);
            }
            return line.toString().trim();
        }

        void ask(List<String> words) throws IOException {
            StringBuilder command = new StringBuilder("*" + words.size() + "\r\n");
            for (String word : words) command.append("$").append(word.length()).append("\r\n").append(word).append("\r\n");
            socket.getOutputStream().write(command.toString().getBytes(StandardCharsets.UTF_8));
            String first = line();
            int lines = first.startsWith("*") ? 2 * Integer.parseInt(first.substring(1)) : 1;
            for (int i = 0; i < lines; i++) line();
        }

        @Override
        public void close() throws IOException {
            socket.close();
        }
    }

    static void loadUsers(boolean oneByOne) throws IOException {
        try (Store users = new Store()) {
            List<String> all = new ArrayList<>(List.of("MGET"));
            for (int i = 0; i < 60; i++) {
                if (oneByOne) users.ask(List.of("GET", "user:" + i));
                else all.add("user:" + i);
            }
            if (!oneByOne) users.ask(all);
        }
    }

    static double work(boolean faulty) throws Exception {
        long began = System.nanoTime();
        if (faulty) loadInTurn(24);
        else loadAtOnce(24);
        loadUsers(faulty);
        return (System.nanoTime() - began) / 1e6;
    }

    public static void main(String[] args) throws Exception {
        String python = System.getenv().getOrDefault("WL_PYTHON", "python3");
        Process server = new ProcessBuilder(python, "../w70_twins/serve.py").redirectError(ProcessBuilder.Redirect.INHERIT).start();
        Scanner ports = new Scanner(server.getInputStream());
        web = ports.nextInt();
        store = ports.nextInt();
        // All ways are compiled before they are named.
        loadInTurn(1);
        loadAtOnce(1);
        loadUsers(false);
        nameCode();
        double wall = work(args[0].equals("several.bad"));
        server.getOutputStream().close();
        server.waitFor();
        String functions = "[{\"function\": \"Twins.work\", \"wall_ms\": " + wall + "}]";
        String truth = "{\"workload\": \"w69_twins_java\", \"variant\": \"" + args[0] + "\", \"functions\": " + functions + "}";
        String dir = System.getenv().getOrDefault("TRUTH_DIR", "truth");
        Files.writeString(Path.of(dir, "w69_twins_java." + args[0] + ".json"), truth);
    }
}
