import java.lang.management.ManagementFactory;
import javax.management.ObjectName;

/** What both programs do. */
public class Common {
    /** Writes /tmp/perf-PID.map: the names of the code that is compiled by now. */
    static void nameCode() throws Exception {
        var commands = new ObjectName("com.sun.management:type=DiagnosticCommand");
        ManagementFactory.getPlatformMBeanServer().invoke(commands, "compilerPerfmap", new Object[0], new String[0]);
    }

    static long busy(long ms) {
        long end = System.nanoTime() + ms * 1_000_000;
        long x = 1;
        while (System.nanoTime() < end) {
            for (int i = 0; i < 400; i++) x = (x * 1103515245 + 12345) & 0x7fffffff;
        }
        return x;
    }

    static void pause(long ms) {
        try {
            Thread.sleep(ms);
        } catch (InterruptedException error) {
            throw new IllegalStateException(error);
        }
    }
}
