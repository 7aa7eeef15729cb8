// Logs the events it is given (JSON, one a line) by the logger that is named: jul, spring (logback with the layout of Spring Boot), logstash.
import ch.qos.logback.classic.LoggerContext;
import ch.qos.logback.classic.encoder.PatternLayoutEncoder;
import ch.qos.logback.classic.spi.ILoggingEvent;
import ch.qos.logback.core.ConsoleAppender;
import ch.qos.logback.core.encoder.Encoder;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.logging.Handler;
import java.util.logging.Level;
import java.util.logging.StreamHandler;
import net.logstash.logback.encoder.LogstashEncoder;
import org.slf4j.LoggerFactory;

public class Loggers {
    public static void main(String[] args) throws Exception {
        if (!args[0].equals("jul")) logback(args[0]);
        ObjectMapper json = new ObjectMapper();
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, "UTF-8"));
        int worker = 0;
        for (String line; (line = in.readLine()) != null;) {
            JsonNode event = json.readTree(line);
            String text = "zq" + event.get("site").asInt() + "zq" + event.get("message").asText();
            Throwable thrown = null;
            if (!event.get("exception").isNull()) thrown = thrown(event.get("exception").asText());
            Thread.currentThread().setName("nio-8080-exec-" + (worker++ % 9));
            String level = event.get("level").asText(), logger = event.get("logger").asText();
            if (args[0].equals("jul")) jul(logger, level, text, thrown);
            else {
                org.slf4j.Logger log = LoggerFactory.getLogger(logger);
                switch (level) {
                    case "DEBUG" -> log.debug(text, thrown);
                    case "WARN" -> log.warn(text, thrown);
                    case "ERROR" -> log.error(text, thrown);
                    default -> log.info(text, thrown);
                }
            }
        }
        System.out.flush();
    }

    static Throwable thrown(String name) {
        try {
            return (Throwable) Class.forName(name).getConstructor(String.class).newInstance("gone");
        } catch (ReflectiveOperationException e) {
            return new IllegalStateException("gone");
        }
    }

    static void logback(String kind) {
        LoggerContext context = (LoggerContext) LoggerFactory.getILoggerFactory();
        context.reset();
        Encoder<ILoggingEvent> encoder;
        if (kind.equals("spring")) {
            PatternLayoutEncoder pattern = new PatternLayoutEncoder();
            pattern.setPattern("%d{yyyy-MM-dd'T'HH:mm:ss.SSSXXX} %5p 4711 --- [%15.15t] %-40.40logger{39} : %m%n%ex");
            encoder = pattern;
        } else encoder = new LogstashEncoder();
        encoder.setContext(context);
        encoder.start();
        ConsoleAppender<ILoggingEvent> out = new ConsoleAppender<>();
        out.setContext(context);
        out.setEncoder(encoder);
        out.start();
        ch.qos.logback.classic.Logger root = context.getLogger("ROOT");
        root.addAppender(out);
        root.setLevel(ch.qos.logback.classic.Level.DEBUG);
    }

    static Handler handler;

    static void jul(String where, String level, String text, Throwable thrown) {
        java.util.logging.Logger root = java.util.logging.Logger.getLogger("");
        if (handler == null) {
            for (Handler old : root.getHandlers()) root.removeHandler(old);
            handler = new StreamHandler(System.out, new java.util.logging.SimpleFormatter());
            handler.setLevel(Level.ALL);
            root.addHandler(handler);
            root.setLevel(Level.ALL);
        }
        String[] parts = where.split(" ");
        java.util.logging.Logger.getLogger(parts[0]).logp(Level.parse(level), parts[0], parts[1], text, thrown);
        handler.flush();
    }
}
