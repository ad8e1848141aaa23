import java.io.BufferedReader;
import java.io.File;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;

/**
 * Requests of java.net.http, which is a loop over a selector, to Server: one after another, at once, and to handlers that
 * compute or block. Each function times itself; of one that runs several times at once the union counts.
 */
public class Client {
    static final Map<String, List<long[]>> spans = new TreeMap<>();
    static HttpClient client;
    static String base;

    interface Work {
        void run() throws Exception;
    }

    static void timed(String name, Work work) throws Exception {
        long from = System.nanoTime();
        work.run();
        spans.computeIfAbsent(name, unused -> new ArrayList<>()).add(new long[] {from, System.nanoTime()});
    }

    static HttpRequest request(String path) {
        return HttpRequest.newBuilder(URI.create(base + path)).version(HttpClient.Version.HTTP_1_1).build();
    }

    static void get(String path) throws IOException, InterruptedException {
        client.send(request(path), BodyHandlers.ofByteArray());
    }

    static void fetchTimer() throws Exception {
        get("/timer");
    }

    static void fetchCompute() throws Exception {
        get("/compute");
    }

    static void fetchBlock() throws Exception {
        get("/block");
    }

    static void allAtOnce() {
        var answers = new ArrayList<CompletableFuture<?>>();
        for (int i = 0; i < 8; i++) answers.add(client.sendAsync(request("/slow"), BodyHandlers.ofByteArray()));
        CompletableFuture.allOf(answers.toArray(new CompletableFuture<?>[0])).join();
    }

    static void hog() {
        Common.busy(150);
    }

    static void phases(int rounds) throws Exception {
        for (int i = 0; i < 5 * rounds; i++) timed("fetchTimer", Client::fetchTimer);
        for (int i = 0; i < 3 * rounds; i++) timed("fetchCompute", Client::fetchCompute);
        for (int i = 0; i < 3 * rounds; i++) timed("fetchBlock", Client::fetchBlock);
        for (int i = 0; i < 2 * rounds; i++) timed("allAtOnce", Client::allAtOnce);
        timed("hog", Client::hog);
    }

    static double union(List<long[]> of) {
        of.sort((a, b) -> Long.compare(a[0], b[0]));
        long total = 0, end = Long.MIN_VALUE;
        for (long[] span : of) {
            if (span[1] > end) {
                total += span[1] - Math.max(span[0], end);
                end = span[1];
            }
        }
        return total / 1e6;
    }

    /** The first requests make the code that the map names, and the connections. */
    static void warmUp() throws Exception {
        phases(1);
        spans.clear();
    }

    public static void main(String[] arguments) throws Exception {
        long began = System.nanoTime();
        var java = new ArrayList<>(List.of(System.getenv("JAVA").split(" ")));
        java.add("Server");
        var server = new ProcessBuilder(java).redirectError(ProcessBuilder.Redirect.INHERIT).start();
        var said = new BufferedReader(new InputStreamReader(server.getInputStream()));
        base = "http://127.0.0.1:" + said.readLine().trim();
        client = HttpClient.newBuilder().build();
        warmUp();
        Common.nameCode();
        server.getOutputStream().write('\n');
        server.getOutputStream().flush();
        said.readLine();
        timed("phases", () -> phases(2));
        server.getOutputStream().close();
        String[] counts = said.readLine().split(" ");
        server.waitFor();
        double wall = (System.nanoTime() - began) / 1e6;
        var functions = new ArrayList<String>();
        spans.forEach((name, of) -> {
            double ms = union(of);
            functions.add(String.format("{\"function\":\"%s\",\"calls\":%d,\"wall_ms\":%.3f,\"cpu_ms\":0,\"wall_share_pct\":%.3f}",
                name, of.size(), ms, 100 * ms / wall));
        });
        var answered = new ArrayList<String>();
        for (int i = 0; i + 1 < counts.length; i += 2) answered.add("\"" + counts[i] + "\":" + counts[i + 1]);
        String truth = String.format("{\"schema\":1,\"process\":{\"wall_ms\":%.3f},\"functions\":[%s],\"answered\":{%s}}",
            wall, String.join(",", functions), String.join(",", answered));
        var directory = new File(System.getenv().getOrDefault("TRUTH_DIR", "truth"));
        directory.mkdirs();
        Files.writeString(Path.of(directory.getPath(), "w63_java_nio.default.json"), truth);
        System.exit(0);
    }
}
