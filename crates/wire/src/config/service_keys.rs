//! The sections and keys of `gapless.toml`.

use gapless_model::Millis;

use super::hook_keys;
use super::key::{Fallback, Key, Kind, Section};

const fn secs(seconds: u64) -> Millis {
    Millis::from_secs(seconds)
}

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const DAY: Millis = secs(86_400);

/// The sections and keys of `gapless.toml`.
pub static SERVICE: &[Section] = &[
    Section {
        name: "",
        repeated: false,
        doc: "The service as a whole. These keys stand at the top of the file, above all sections.",
        keys: &[
            Key {
                name: "service",
                kind: Kind::ServiceName,
                default: Fallback::Required,
                doc: "The name of the service. Releases of one name replace one another.",
                example: "\"shop\"",
            },
            Key {
                name: "instances",
                kind: Kind::Count { min: 1, max: 1_000 },
                default: Fallback::Value("2"),
                doc: "How many instances are in load.",
                example: "4",
            },
            Key {
                name: "floor",
                kind: Kind::Amount { min: 0 },
                default: Fallback::Value("\"50%\""),
                doc: "The least number of ready instances in load that no action may go below: a count, or a share of `instances` \
                      (rounded up). Only faults can take a service below it.",
                example: "\"75%\"",
            },
            Key {
                name: "releases_kept",
                kind: Kind::Count { min: 1, max: 100 },
                default: Fallback::Value("3"),
                doc: "How many releases that were current before are kept to go back to, those behind a rollback among them. Older ones are deleted when \
                      nothing refers to them.",
                example: "5",
            },
        ],
    },
    Section {
        name: "run",
        repeated: false,
        doc: "How one instance runs. In `command` and `environment`, `{port}` becomes the instance's port and `{release}` the label of \
              its release. Every instance also finds `PORT`, `GAPLESS_SERVICE`, `GAPLESS_RELEASE` and `GAPLESS_INSTANCE` in its environment.",
        keys: &[
            Key {
                name: "command",
                kind: Kind::Command,
                default: Fallback::Required,
                doc: "The program and its arguments. It listens on 127.0.0.1 and the port it is given, and ends in good order on SIGTERM. No \
                      shell is involved.",
                example: "[\"python3\", \"-m\", \"http.server\", \"--bind\", \"127.0.0.1\", \"{port}\"]",
            },
            Key {
                name: "environment",
                kind: Kind::TextMap,
                default: Fallback::Absent("none besides the four above"),
                doc: "Environment variables. Of the controller's own environment an instance gets only what describes the machine (PATH, HOME, USER, \
                      LOGNAME, LANG, LC_ALL, LC_CTYPE, TZ, TMPDIR): what a person happened to have set is no part of a release. PATH and HOME can be set here \
                      like any other. `${NAME}` becomes what `secrets` or `env_file` give for that name, `$${` is `${` itself.",
                example: "{ LOG_LEVEL = \"info\" }",
            },
            Key {
                name: "env_file",
                kind: Kind::EnvironmentFiles,
                default: Fallback::Absent("none"),
                doc: "Files of variables, `NAME=value` on each line, read on the machine each time an instance starts. A relative path is inside the release. One \
                      with a `-` before it may be missing. A later file holds over an earlier one, `environment` and `secrets` over both. What they say is \
                      kept nowhere.",
                example: "[\"/etc/shop/env\", \"-/etc/shop/local.env\"]",
            },
            Key {
                name: "secrets",
                kind: Kind::Secrets,
                default: Fallback::Absent("none"),
                doc: "Variables whose values are read by the controller each time an instance starts, and kept nowhere: the content of a `file`, a `credential` that systemd \
                      gave the controller (`LoadCredential=`), or what a `command` writes to its standard output within 10s (as the controller's user, in the release's \
                      folder). One line end at the end does not count. Where one cannot be read no instance starts, and those that run go on.",
                example: "{ DB_PASSWORD = { file = \"/etc/shop/db-password\" }, API_KEY = { credential = \"api-key\" }, TOKEN = { command = [\"pass\", \"shop/token\"] } }",
            },
            Key {
                name: "folder",
                kind: Kind::Folder,
                default: Fallback::Value("\".\""),
                doc: "The working folder, relative to the release's own folder.",
                example: "\"server\"",
            },
            Key {
                name: "user",
                kind: Kind::Text { bytes_max: 64 },
                default: Fallback::Absent("the controller's own user"),
                doc: "The user an instance runs as. Needs a controller that runs as root.",
                example: "\"www-data\"",
            },
            Key {
                name: "stop_grace",
                kind: Kind::Duration { min: secs(0), max: secs(3_600) },
                default: Fallback::Value("\"10s\""),
                doc: "From SIGTERM to SIGKILL. An instance gets SIGTERM only after every proxy has acknowledged that it no longer routes \
                      to it and its requests have ended, so this is time for its own clean-up.",
                example: "\"30s\"",
            },
        ],
    },
    Section {
        name: "run.limits",
        repeated: false,
        doc: "What one instance, its whole process tree included, may use. Enforced by cgroup v2 where the controller can write it; \
              elsewhere the keeper ends an instance above its memory itself, and `gapless status` and the instance's log say which other limits are not enforced.",
        keys: &[
            Key {
                name: "memory",
                kind: Kind::Size { min: MIB, max: 1_024 * GIB },
                default: Fallback::Absent("no limit"),
                doc: "Memory; above it the process tree is killed and the instance replaced.",
                example: "\"512MiB\"",
            },
            Key {
                name: "cpu",
                kind: Kind::Cores,
                default: Fallback::Absent("no limit"),
                doc: "Processor time, in cores.",
                example: "1.5",
            },
            Key {
                name: "tasks",
                kind: Kind::Count { min: 1, max: 1_000_000 },
                default: Fallback::Absent("no limit"),
                doc: "Processes and threads.",
                example: "256",
            },
        ],
    },
    Section {
        name: "route",
        repeated: true,
        doc: "Which requests go to the service; may be repeated. Without any, all requests that no other service claims. The most exact host \
              wins, then the longest path. Two services cannot have the same route.",
        keys: &[
            Key {
                name: "host",
                kind: Kind::Host,
                default: Fallback::Value("\"*\""),
                doc: "The host of the request, without port.",
                example: "\"shop.example.com\"",
            },
            Key {
                name: "path",
                kind: Kind::PathPrefix,
                default: Fallback::Value("\"/\""),
                doc: "The beginning of the request's path, in whole segments: `/api` holds `/api` and `/api/x`, not `/apiary`.",
                example: "\"/api\"",
            },
        ],
    },
    Section {
        name: "health",
        repeated: false,
        doc: "How the health of an instance is asked for: by one of `http`, `tcp`, `command` or `process`. An instance starts unknown and gets no request \
              before it is ready.",
        keys: &[
            Key {
                name: "http",
                kind: Kind::RequestPath,
                default: Fallback::Absent("not asked by HTTP"),
                doc: "GET of this path at the instance; passes when the status is expected.",
                example: "\"/health\"",
            },
            Key {
                name: "tcp",
                kind: Kind::Flag,
                default: Fallback::Absent("`true` when none of the others is written"),
                doc: "Opens a connection to the instance; passes when it is accepted.",
                example: "true",
            },
            Key {
                name: "command",
                kind: Kind::Command,
                default: Fallback::Absent("not asked by a command"),
                doc: "Runs a program with the instance's environment; passes when it exits with 0. `{port}` and `{release}` are replaced.",
                example: "[\"./check\", \"{port}\"]",
            },
            Key {
                name: "process",
                kind: Kind::Flag,
                default: Fallback::Value("false"),
                doc: "An instance is healthy while its process runs, and ready when it has run for `healthy_min`: for workers, which listen on no port. Such a \
                      service has no route, and no proxy has anything to do with it.",
                example: "true",
            },
            Key {
                name: "host",
                kind: Kind::Text { bytes_max: 253 },
                default: Fallback::Absent("the instance's address"),
                doc: "With `http`: the Host header to send.",
                example: "\"shop.example.com\"",
            },
            Key {
                name: "expect",
                kind: Kind::Statuses,
                default: Fallback::Value("\"200-399\""),
                doc: "With `http`: the statuses that pass.",
                example: "200",
            },
            Key {
                name: "interval",
                kind: Kind::Duration { min: Millis(10), max: secs(600) },
                default: Fallback::Value("\"1s\""),
                doc: "From the end of one probe to the begin of the next.",
                example: "\"2s\"",
            },
            Key {
                name: "timeout",
                kind: Kind::Duration { min: Millis(10), max: secs(60) },
                default: Fallback::Value("\"2s\""),
                doc: "How long one probe may take.",
                example: "\"500ms\"",
            },
            Key {
                name: "rise",
                kind: Kind::Count { min: 1, max: 100 },
                default: Fallback::Value("2"),
                doc: "So many passes in a row make an instance healthy.",
                example: "3",
            },
            Key {
                name: "fall",
                kind: Kind::Count { min: 1, max: 100 },
                default: Fallback::Value("3"),
                doc: "So many failures in a row make an instance unhealthy: one failed probe is no verdict.",
                example: "5",
            },
            Key {
                name: "healthy_min",
                kind: Kind::Duration { min: secs(0), max: secs(3_600) },
                default: Fallback::Value("\"0s\""),
                doc: "How long an instance must stay healthy before it counts as ready.",
                example: "\"5s\"",
            },
            Key {
                name: "start_timeout",
                kind: Kind::Duration { min: secs(1), max: secs(7_200) },
                default: Fallback::Value("\"60s\""),
                doc: "From the start of an instance to its first readiness. When a candidate's instance takes longer, the rollout goes back.",
                example: "\"2m\"",
            },
        ],
    },
    Section {
        name: "strategy",
        repeated: false,
        doc: "How a candidate replaces the current release. `gapless plan` prints the phases before they run.",
        keys: &[
            Key {
                name: "kind",
                kind: Kind::OneOf(&["rolling", "blue-green"]),
                default: Fallback::Value("\"rolling\""),
                doc: "`rolling` replaces batch by batch. `blue-green` starts the whole candidate beside the current release, tests it, switches \
                      all requests by one routing table, and keeps the old release warm for a while.",
                example: "\"blue-green\"",
            },
            Key {
                name: "batch",
                kind: Kind::Amount { min: 1 },
                default: Fallback::Value("1"),
                doc: "With `rolling`: how many instances at a time, as a count or a share of `instances` (rounded up).",
                example: "\"25%\"",
            },
            Key {
                name: "order",
                kind: Kind::OneOf(&["surge-first", "in-place"]),
                default: Fallback::Value("\"surge-first\""),
                doc: "With `rolling`: `surge-first` puts the new instances in load before the old ones leave, so capacity never shrinks. \
                      `in-place` stops the old ones first, for a machine without room for more; it never goes below the floor.",
                example: "\"in-place\"",
            },
            Key {
                name: "observe",
                kind: Kind::Duration { min: secs(0), max: DAY },
                default: Fallback::Value("\"5s\""),
                doc: "With `rolling`: how long a batch is observed in load before the next.",
                example: "\"30s\"",
            },
            Key {
                name: "bake",
                kind: Kind::Duration { min: secs(0), max: DAY },
                default: Fallback::Value("\"10s\""),
                doc: "How long the finished whole is observed before the rollout is done. With `blue-green` the old release stays warm all that \
                      time, so the way back is one routing table.",
                example: "\"10m\"",
            },
            Key {
                name: "timeout",
                kind: Kind::Duration { min: secs(10), max: Millis(7 * DAY.0) },
                default: Fallback::Value("\"30m\""),
                doc: "How long the whole rollout may take; then it goes back.",
                example: "\"1h\"",
            },
            Key {
                name: "errors_above",
                kind: Kind::Count { min: 0, max: 100 },
                default: Fallback::Value("10"),
                doc: "A candidate whose share of failed requests (answers of 5xx, and answers that never came) is so many percentage points above that \
                      of the release before turns its rollout back while it is observed or baked, where there were requests enough to tell; `0` for never.",
                example: "25",
            },
            Key {
                name: "second_order",
                kind: Kind::OneOf(&["queue", "reject", "supersede"]),
                default: Fallback::Value("\"queue\""),
                doc: "What is done with a deploy that arrives while a rollout runs: `queue` lets it wait (at most one; a later one takes its \
                      place), `reject` refuses it, `supersede` rolls the running one back first.",
                example: "\"reject\"",
            },
        ],
    },
    Section {
        name: "check",
        repeated: true,
        doc: "What is asked of a candidate before anyone is switched to it; may be repeated. Each check is either `http` or `command`. Checks reach \
              the candidate through the proxy, by the preview header, while all other requests still go to the current release.",
        keys: &[
            Key {
                name: "name",
                kind: Kind::Text { bytes_max: 63 },
                default: Fallback::Required,
                doc: "What people call the check.",
                example: "\"front page\"",
            },
            Key {
                name: "http",
                kind: Kind::RequestPath,
                default: Fallback::Absent("the check is a command"),
                doc: "GET of this path, through the proxy.",
                example: "\"/\"",
            },
            Key {
                name: "expect",
                kind: Kind::Statuses,
                default: Fallback::Value("\"200-399\""),
                doc: "With `http`: the statuses that pass.",
                example: "200",
            },
            Key {
                name: "contains",
                kind: Kind::Text { bytes_max: 1_024 },
                default: Fallback::Absent("the body is not looked at"),
                doc: "With `http`: text that the body must hold.",
                example: "\"Welcome\"",
            },
            Key {
                name: "command",
                kind: Kind::Command,
                default: Fallback::Absent("the check is a request"),
                doc: "A program, run in the release's folder; passes when it exits with 0. `GAPLESS_URL` is the proxy, `GAPLESS_PREVIEW` the value \
                      of the `X-Gapless-Preview` header that reaches the candidate, with the rollout's token.",
                example: "[\"./smoke-test\"]",
            },
            Key {
                name: "timeout",
                kind: Kind::Duration { min: Millis(100), max: secs(3_600) },
                default: Fallback::Value("\"10s\""),
                doc: "How long the check may take; longer is a failure.",
                example: "\"1m\"",
            },
        ],
    },
    hook_keys::RELEASE,
    hook_keys::HOOK,
    Section {
        name: "traffic",
        repeated: false,
        doc: "What the service asks of the proxy.",
        keys: &[
            Key {
                name: "balance",
                kind: Kind::OneOf(&["peak-ewma", "round-robin", "least-requests", "consistent-hash"]),
                default: Fallback::Value("\"peak-ewma\""),
                doc: "How an instance is chosen: `peak-ewma` takes the better of two at random by latency and requests in flight, \
                      `consistent-hash` sends requests with the same `hash_key` to the same instance.",
                example: "\"least-requests\"",
            },
            Key {
                name: "hash_key",
                kind: Kind::Text { bytes_max: 256 },
                default: Fallback::Value("\"address\""),
                doc: "What `consistent-hash` goes by: `address` (the client's, as a trusted peer tells it), `header:NAME` or `cookie:NAME`; \
                      where a request has neither, its address. A change of the set of instances moves only the share of those that \
                      came or went.",
                example: "\"cookie:session\"",
            },
            Key {
                name: "connect_timeout",
                kind: Kind::Duration { min: Millis(10), max: secs(60) },
                default: Fallback::Value("\"2s\""),
                doc: "How long a connection to an instance may take to open; then another instance is tried.",
                example: "\"500ms\"",
            },
            Key {
                name: "response_timeout",
                kind: Kind::Duration { min: Millis(100), max: secs(3_600) },
                default: Fallback::Value("\"60s\""),
                doc: "From the end of a request to the begin of its answer; then the client is answered 504.",
                example: "\"10s\"",
            },
            Key {
                name: "idle_timeout",
                kind: Kind::Duration { min: secs(1), max: secs(3_600) },
                default: Fallback::Value("\"60s\""),
                doc: "How long either side may move no byte in the middle of a message: a client that sends nothing more of its body or takes \
                      nothing more of its answer, an instance likewise. What is written counts when it is acknowledged, so a slow but steady reader is not \
                      cut.",
                example: "\"30s\"",
            },
            Key {
                name: "body_rate_min",
                kind: Kind::Size { min: 0, max: 16 * MIB },
                default: Fallback::Value("\"0B\""),
                doc: "Bytes per second with which a request's body must come, on average over the time in which nothing but the client is waited for, after \
                      the first ten seconds; slower is answered 408. Zero for no bound. Never applied to upgraded connections, nor once an answer has begun.",
                example: "\"500B\"",
            },
            Key {
                name: "retries",
                kind: Kind::Count { min: 0, max: 10 },
                default: Fallback::Value("2"),
                doc: "How often a request may be sent again at most, where that is safe, over its whole life.",
                example: "1",
            },
            Key {
                name: "replay_with_idempotency_key",
                kind: Kind::Flag,
                default: Fallback::Value("false"),
                doc: "Whether a request with an `Idempotency-Key` header may be sent again after it was sent but not answered, whatever its method.",
                example: "true",
            },
            Key {
                name: "replay_body",
                kind: Kind::Size { min: 0, max: 16 * MIB },
                default: Fallback::Value("\"64KiB\""),
                doc: "How much of a request's body is kept so that it can be sent again.",
                example: "\"256KiB\"",
            },
            Key {
                name: "hold_requests",
                kind: Kind::Count { min: 0, max: 100_000 },
                default: Fallback::Value("1000"),
                doc: "How many requests may wait at one proxy while no instance may serve them; the next is answered 503.",
                example: "200",
            },
            Key {
                name: "hold_wait",
                kind: Kind::Duration { min: secs(0), max: secs(600) },
                default: Fallback::Value("\"10s\""),
                doc: "How long such a request waits; then it is answered 503. For that long the proxy answers the path of `[health] http` with \
                      200 by itself, so that another load balancer in front does not give the service up.",
                example: "\"30s\"",
            },
            Key {
                name: "drain_timeout",
                kind: Kind::Duration { min: secs(0), max: secs(3_600) },
                default: Fallback::Value("\"30s\""),
                doc: "How long requests in flight may run on when their instance drains. What runs longer is cut, and the receipt counts it.",
                example: "\"2m\"",
            },
            Key {
                name: "tunnel_drain_timeout",
                kind: Kind::Duration { min: secs(0), max: DAY },
                default: Fallback::Value("\"5m\""),
                doc: "The same for WebSockets and other upgraded connections.",
                example: "\"1h\"",
            },
            Key {
                name: "slow_start",
                kind: Kind::Duration { min: secs(0), max: secs(3_600) },
                default: Fallback::Value("\"0s\""),
                doc: "How long a new instance's share of requests grows from little to full.",
                example: "\"30s\"",
            },
            Key {
                name: "eject_after_failures",
                kind: Kind::Count { min: 0, max: 1_000 },
                default: Fallback::Value("5"),
                doc: "So many failures in a row (connections refused or broken, answers of 5xx) take an instance out for a while, never below half of the \
                      pool; `0` for never.",
                example: "10",
            },
            Key {
                name: "eject_above_peers",
                kind: Kind::Count { min: 0, max: 100 },
                default: Fallback::Value("20"),
                doc: "An instance whose share of failures over ten seconds is so many percentage points above that of the other instances of its release \
                      is taken out for a while, never below half of the pool, and only where there were requests enough to tell; `0` for never.",
                example: "50",
            },
        ],
    },
    Section {
        name: "restart",
        repeated: false,
        doc: "How instances that failed by themselves are started again: after `backoff_min`, doubled on each failure, each instance for itself, until \
              one has been ready for `backoff_max`. What was ended from outside (the machine went down, `kill`, `gapless down`) is started again at once.",
        keys: &[
            Key {
                name: "backoff_min",
                kind: Kind::Duration { min: Millis(10), max: secs(600) },
                default: Fallback::Value("\"500ms\""),
                doc: "The first wait.",
                example: "\"1s\"",
            },
            Key {
                name: "backoff_max",
                kind: Kind::Duration { min: Millis(10), max: secs(3_600) },
                default: Fallback::Value("\"30s\""),
                doc: "The longest wait.",
                example: "\"1m\"",
            },
        ],
    },
    Section {
        name: "logs",
        repeated: false,
        doc: "How much of what an instance writes is kept.",
        keys: &[
            Key {
                name: "file_size",
                kind: Kind::Size { min: 4 * KIB, max: GIB },
                default: Fallback::Value("\"8MiB\""),
                doc: "The size at which a log file is rotated.",
                example: "\"64MiB\"",
            },
            Key {
                name: "files",
                kind: Kind::Count { min: 1, max: 100 },
                default: Fallback::Value("4"),
                doc: "How many files are kept per instance, the one being written included.",
                example: "10",
            },
        ],
    },
];
