import java.util.Random;
import java.util.logging.Level;
import java.util.logging.Logger;

/** Logs as java.util.logging does; prints the event of each record on stdout. */
public class Shop {
    static final Random random = new Random(7);
    static final String[] users = {"ann", "bob", "cleo", "dora", "emil"};
    static final String[] states = {"started", "stopped", "paused", "failed"};

    static void log(String logger, Level level, String event, String message, Throwable thrown) {
        System.out.println(event);
        Logger.getLogger(logger).log(level, message, thrown);
    }

    static void fail(int n) {
        throw new IllegalStateException("no stock for item " + n);
    }

    public static void main(String[] args) throws Exception {
        for (int i = 0; i < 420; i++) {
            int n = random.nextInt(100000);
            String user = users[random.nextInt(users.length)];
            switch (random.nextInt(9)) {
                case 0 -> log("shop.Web", Level.INFO, "J1", "Request /item/" + n + " served in " + n % 90 + " ms", null);
                case 1 -> log("shop.Auth", Level.INFO, "J2", "Session opened for user " + user + " from 10.0.0." + n % 250, null);
                case 2 -> log("shop.Auth", Level.WARNING, "J3", "Wrong password for user " + user, null);
                case 3 -> { String s = states[random.nextInt(4)]; log("shop.Jobs", Level.INFO, "J4" + s, "Job " + n + " " + s, null); }
                case 4 -> log("shop.Cache", Level.INFO, "J5", "Evicted " + n + " entries, " + n / 3 + " KB freed", null);
                case 5 -> log("shop.Cache", Level.INFO, "J6", "Cache is full", null);
                case 6 -> { try { fail(n); } catch (Exception e) { log("shop.Order", Level.SEVERE, "J7", "Order " + n + " could not be placed", e); } }
                case 7 -> log("shop.Db", Level.WARNING, "J8", "Query took " + n % 5000 + " ms: SELECT * FROM items WHERE id = " + n, null);
                default -> log("shop.Db", Level.INFO, "J9", "Connection " + n % 20 + " returned to pool 'main'", null);
            }
        }
    }
}
