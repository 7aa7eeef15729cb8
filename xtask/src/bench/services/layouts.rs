//! Lines as common loggers lay them out, for runs of 100,000 lines. The labelled samples were written by the loggers themselves.

use super::Event;

/// Writes the records of one run.
#[derive(Debug)]
pub struct Layout {
    name: String,
    written: usize,
}

/// When an event happened.
struct Time {
    hours: usize,
    minutes: usize,
    seconds: usize,
    millis: usize,
}

impl Layout {
    /// Of a name that a service gives.
    pub fn new(name: &str) -> Layout {
        Layout { name: name.to_owned(), written: 0 }
    }

    /// Appends the record of an event, one line or several, the end of the last line included.
    pub fn write(&mut self, event: &Event, out: &mut String) {
        let n = self.written;
        self.written += 1;
        let time = Time { hours: n / 36_000 % 24, minutes: n / 600 % 60, seconds: n / 10 % 60, millis: n * 97 % 1_000 };
        out.push_str(&record(&self.name, event, &time));
        out.push('\n');
        if let Some(class) = &event.exception {
            out.push_str(&trace(&self.name, class));
        }
    }
}

fn record(layout: &str, event: &Event, time: &Time) -> String {
    let Event { level, logger, message, .. } = event;
    let Time { hours, minutes, seconds, millis } = time;
    let clock = format!("{hours:02}:{minutes:02}:{seconds:02}");
    let stamp = format!("2026-03-09T{clock}.{millis:03}Z");
    match layout {
        "go-zap-json" => {
            object(&[("level", &level.to_lowercase()), ("ts", &stamp), ("logger", logger), ("msg", message)], event)
        }
        "go-klog" => format!("{}0309 {clock}.{millis:03}417       1 {logger}] {message}", &level[..1]),
        "go-slog-text" => format!("time={stamp} level={level} msg={message:?} logger={logger}{}", pairs(event, "=")),
        "java-spring" => {
            format!("{stamp}  {level:>5} 4711 --- [nio-8080-exec-{}] {logger:<40} : {message}", millis % 9)
        }
        "java-jul" => {
            let (half, hour) = (if *hours < 12 { "AM" } else { "PM" }, (hours + 11) % 12 + 1);
            format!("Mar 09, 2026 {hour}:{minutes:02}:{seconds:02} {half} {logger}\n{level}: {message}")
        }
        "java-logback-json" => {
            object(&[("@timestamp", &stamp), ("message", message), ("logger_name", logger), ("level", level)], event)
        }
        "gcp-json" => format!(
            "{{\"insertId\":\"{millis}x{seconds}\",\"jsonPayload\":{{\"logger\":{logger:?},\"message\":{message:?}}},\"severity\":\"{level}\",\"timestamp\":\"{stamp}\"}}"
        ),
        "dotnet-console" => format!("{level}: {logger}\n      {message}"),
        "rust-tracing-pretty" => {
            let fields = pairs(event, ": ").replace('"', "");
            let fields = fields.trim_start().replace(' ', ", ").replace(":,", ":");
            let comma = if fields.is_empty() { "" } else { ", " };
            format!("  {stamp} {level:>5} {logger}: {message}{comma}{fields}\n    at src/main.rs:{}\n", 10 + event.site)
        }
        "rust-tracing-full" => {
            let (span, rest) = message.split_once(": ").unwrap_or(("", message));
            format!("{stamp} {level:>5} {span}: {logger}: {rest}")
        }
        "python-loguru" => format!("2026-03-09 {clock}.{millis:03} | {level:<8} | {logger} - {message}"),
        "python-structlog" => format!("2026-03-09 {clock} [{level:<8}] {message:<30} [{logger}]{}", pairs(event, "=")),
        "node-pino" => {
            let number = match &**level {
                "DEBUG" => "20",
                "INFO" => "30",
                "WARN" => "40",
                _ => "50",
            };
            format!(
                "{{\"level\":{number},\"time\":17730{hours}{minutes:02}{seconds:02},\"name\":{logger:?},\"msg\":{message:?}}}"
            )
        }
        "node-winston" => format!("{stamp} [{logger}] {level}: {message}"),
        "node-console" => console(message),
        "php-monolog" => format!("[{stamp}] {logger}.{level}: {message} [] []"),
        "ruby-rails" => {
            format!("{}, [2026-03-09T{clock}.{millis:03}411 #7]  {level:>5} -- {logger}: {message}", &level[..1])
        }
        "cpp-spdlog" => format!("[2026-03-09 {clock}.{millis:03}] [{logger}] [{level}] {message}"),
        "plain" => message.clone(),
        "plain-epoch" => {
            format!("{}.{millis:03} {level} {logger} {message}", 1_773_000_000 + hours * 3600 + minutes * 60 + seconds)
        }
        _ => format!("2026-03-09 {clock},{millis:03} {logger} {level} {message}"),
    }
}

fn trace(layout: &str, class: &str) -> String {
    if layout.starts_with("python") {
        return format!(
            "Traceback (most recent call last):\n  File \"/srv/app/main.py\", line 7, in run\n    call()\n{class}: gone\n"
        );
    }
    match layout {
        "java-logback-json" => String::new(),
        _ if layout.starts_with("node") => format!("{class}: gone\n    at run (/srv/app/main.js:7:1)\n"),
        _ if layout.starts_with("dotnet") => {
            format!("      {class}: gone\n         at App.Run() in /src/App.cs:line 7\n")
        }
        _ => format!("{class}: gone\n\tat com.example.App.run(App.java:7)\n"),
    }
}

/// ` key=value`, in quotes where it has a space.
fn pairs(event: &Event, between: &str) -> String {
    let pair = |(key, value): &(String, String)| {
        let value = if value.contains([' ', '"']) { format!("{value:?}") } else { value.clone() };
        format!(" {key}{between}{value}")
    };
    event.fields.iter().map(pair).collect()
}

fn object(known: &[(&str, &str)], event: &Event) -> String {
    let known = known.iter().map(|(key, value)| format!("{key:?}:{}", quoted(value)));
    let fields = event.fields.iter().map(|(key, value)| format!("{key:?}:{}", quoted(value)));
    format!("{{{}}}", known.chain(fields).collect::<Vec<_>>().join(","))
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}

/// An object that does not fit into one line is broken into several, as `console.log` does.
fn console(message: &str) -> String {
    match message.split_once("{ ") {
        Some((text, object)) if object.len() > 72 => {
            let inside = object.strip_suffix(" }").unwrap_or(object).replace(", ", ",\n  ");
            format!("{text}{{\n  {inside}\n}}")
        }
        _ => message.to_owned(),
    }
}
