// A Spring Boot service with Tomcat, a connection pool, a database and a scheduler, labelled by where in their sources a line was logged.
package shop;

import ch.qos.logback.classic.LoggerContext;
import ch.qos.logback.classic.encoder.PatternLayoutEncoder;
import ch.qos.logback.classic.pattern.ClassicConverter;
import ch.qos.logback.classic.spi.ILoggingEvent;
import ch.qos.logback.core.ConsoleAppender;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.*;
import org.slf4j.LoggerFactory;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.jdbc.core.JdbcTemplate;
import org.springframework.web.bind.annotation.*;

@SpringBootApplication
@RestController
public class Software {
    static final Map<String, Integer> sites = new HashMap<>();

    public static class Site extends ClassicConverter {
        public String convert(ILoggingEvent event) {
            StackTraceElement[] callers = event.getCallerData();
            String where = callers.length == 0 ? event.getMessage() : callers[0].getClassName() + ":" + callers[0].getLineNumber();
            synchronized (sites) {
                return "zq" + sites.computeIfAbsent(where, key -> sites.size()) + "zq";
            }
        }
    }

    @org.springframework.beans.factory.annotation.Autowired JdbcTemplate database;

    @GetMapping("/items/{name}")
    public List<Map<String, Object>> items(@PathVariable String name) {
        return database.queryForList("select * from information_schema.tables where table_name = ?", name);
    }

    @GetMapping("/broken/{name}")
    public String broken(@PathVariable String name) {
        throw new IllegalStateException("no " + name);
    }

    public static void main(String[] args) throws Exception {
        System.setProperty("org.springframework.boot.logging.LoggingSystem", "none");
        LoggerContext context = (LoggerContext) LoggerFactory.getILoggerFactory();
        context.reset();
        PatternLayoutEncoder pattern = new PatternLayoutEncoder();
        pattern.setContext(context);
        Map<String, String> own = new HashMap<>();
        own.put("site", Site.class.getName());
        context.putObject("PATTERN_RULE_REGISTRY", own);
        pattern.setPattern("%d{yyyy-MM-dd HH:mm:ss.SSS} %-5level [%thread] %logger{36} - %site%m%n%ex{8}");
        pattern.start();
        ConsoleAppender<ILoggingEvent> out = new ConsoleAppender<>();
        out.setContext(context);
        out.setEncoder(pattern);
        out.start();
        ch.qos.logback.classic.Logger root = context.getLogger("ROOT");
        root.addAppender(out);
        root.setLevel(ch.qos.logback.classic.Level.INFO);
        for (String name : List.of("org.springframework.web", "org.springframework.jdbc", "com.zaxxer.hikari", "org.quartz"))
            context.getLogger(name).setLevel(ch.qos.logback.classic.Level.DEBUG);
        var app = SpringApplication.run(Software.class, "--server.port=0", "--server.address=127.0.0.1", "--spring.main.banner-mode=off");
        String port = app.getEnvironment().getProperty("local.server.port");
        HttpClient client = HttpClient.newHttpClient();
        Random random = new Random(7);
        String[] words = "order invoice picture report letter parcel ticket voucher receipt album".split(" ");
        String[] kinds = {"items", "items", "broken", "missing"};
        for (int n = 0; n < 60; n++) {
            String path = "/" + kinds[random.nextInt(4)] + "/" + words[random.nextInt(10)] + (n % 3 == 0 ? n : "") + "?page=" + n;
            client.send(HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + port + path)).build(), HttpResponse.BodyHandlers.ofString());
        }
        app.close();
        System.exit(0);
    }
}
