import com.sun.net.httpserver.HttpServer;
import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.net.HttpURLConnection;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URL;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.atomic.AtomicInteger;

/** Three methods with a known share of the thread's CPU time, and requests to a server of its own. It measures its own truth. */
public class Split {
    static final ThreadMXBean CLOCK = ManagementFactory.getThreadMXBean();
    static long sink;

    static long hot(long length) {
        long begin = CLOCK.getCurrentThreadCpuTime(), now = begin;
        while (now < begin + length) {
            for (int i = 0; i < 100000; i++) sink += i & 3;
            now = CLOCK.getCurrentThreadCpuTime();
        }
        return now - begin;
    }

    static long warm(long length) {
        long begin = CLOCK.getCurrentThreadCpuTime(), now = begin;
        while (now < begin + length) {
            for (int i = 0; i < 100000; i++) sink ^= i & 3;
            now = CLOCK.getCurrentThreadCpuTime();
        }
        return now - begin;
    }

    static long cool(long length) {
        long begin = CLOCK.getCurrentThreadCpuTime(), now = begin;
        while (now < begin + length) {
            for (int i = 0; i < 100000; i++) sink -= i & 3;
            now = CLOCK.getCurrentThreadCpuTime();
        }
        return now - begin;
    }

    public static void main(String[] words) throws Exception {
        HttpServer server = HttpServer.create(new InetSocketAddress(InetAddress.getByName("127.0.0.1"), 0), 0);
        AtomicInteger answered = new AtomicInteger();
        server.createContext("/", exchange -> {
            exchange.getRequestBody().readAllBytes();
            answered.incrementAndGet();
            exchange.sendResponseHeaders(200, 2);
            exchange.getResponseBody().write(new byte[] {'o', 'k'});
            exchange.close();
        });
        server.start();
        long began = System.nanoTime(), hot = 0, warm = 0, cool = 0;
        for (int i = 0; i < 40; i++) {
            HttpURLConnection call = (HttpURLConnection)
                new URL("http://127.0.0.1:" + server.getAddress().getPort() + "/item").openConnection();
            call.getInputStream().readAllBytes();
            hot += hot(54_000_000L);
            warm += warm(27_000_000L);
            cool += cool(9_000_000L);
        }
        server.stop(0);
        String text = String.format(
            "{\"workload\": \"w91_splits\", \"process\": {\"wall_ms\": %d}, \"answered\": %d, \"functions\": [%s, %s, %s]}",
            (System.nanoTime() - began) / 1_000_000, answered.get(), told("Split.hot", hot, hot + warm + cool),
            told("Split.warm", warm, hot + warm + cool), told("Split.cool", cool, hot + warm + cool));
        String directory = System.getenv("TRUTH_DIR");
        Files.writeString(Path.of(directory == null ? "truth" : directory, "w91_splits.java.json"), text);
    }

    static String told(String name, long time, long all) {
        double ms = time / 1e6;
        return String.format(java.util.Locale.ROOT,
            "{\"function\": \"%s\", \"wall_ms\": %.3f, \"cpu_ms\": %.3f, \"wall_share_pct\": %.3f}", name, ms, ms, 100.0 * time / all);
    }
}
