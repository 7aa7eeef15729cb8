//! One small sample per family of formats, with what must come out of it.

use super::super::Severity;
use super::Headers;

/// Reads the last line of a sample with the header recognised over all of it.
#[track_caller]
fn check(sample: &str, severity: Option<Severity>, logger: &str, message: &str) {
    let lines: Vec<&[u8]> = sample.lines().map(str::as_bytes).collect();
    let headers = Headers::recognise(&lines);
    let last = lines[lines.len() - 1];
    let header = headers.read(last).unwrap_or_default();
    assert_eq!(String::from_utf8_lossy(&last[header.message..]), message, "message, {headers:?}");
    assert_eq!(String::from_utf8_lossy(header.logger), logger, "logger, {headers:?}");
    assert_eq!(header.severity, severity, "severity, {headers:?}");
}

const INFO: Option<Severity> = Some(Severity::Info);
const WARN: Option<Severity> = Some(Severity::Warn);
const ERROR: Option<Severity> = Some(Severity::Error);

#[test]
fn syslog() {
    check(
        "Jun 14 15:16:01 combo sshd(pam_unix)[19939]: authentication failure; x=1\n\
         Jun  4 15:16:01 combo kernel: a b c\n\
         Jun 14 15:16:02 combo su(pam_unix)[21416]: session opened for user news by (uid=0)",
        None,
        "su(pam_unix)",
        "session opened for user news by (uid=0)",
    );
    check(
        "<30>1 2024-05-01T10:00:00.5Z web app 811 ID47 - ready\n<30>1 2024-05-01T10:00:01.5Z web app 811 ID47 - accepting work",
        INFO,
        "app",
        "accepting work",
    );
}

#[test]
fn log4j_and_logback() {
    check(
        "2015-10-18 18:01:47,978 INFO [main] org.apache.App: Created master\n\
         2015-10-18 18:01:48,963 WARN [IPC Server handler 0 on 62270] org.apache.ipc.Server: slow call took 5",
        WARN,
        "org.apache.ipc.Server",
        "slow call took 5",
    );
    check(
        "2015-07-29 17:41:44,747 - INFO  [QuorumPeer[myid=1]/0:0:0:0:0:0:0:0:2181:FastLeaderElection@774] - Notification time out: 3200\n\
         2015-07-29 19:04:12,394 - WARN  [SendWorker:188978561024:QuorumCnxManager$SendWorker@679] - Interrupted while waiting",
        WARN,
        "",
        "Interrupted while waiting",
    );
    check(
        "2024-01-02 03:04:05.678 [main] INFO  c.e.shop.Cart - Started in 5 s\n\
         2024-01-02 03:04:05.679 [http-1] ERROR c.e.shop.Order - Payment failed",
        ERROR,
        "c.e.shop.Order",
        "Payment failed",
    );
    check(
        "2024-01-02T03:04:05.678+01:00  INFO 12345 --- [shop] [           main] c.e.s.Application         : Starting up\n\
         2024-01-02T03:04:05.679+01:00 ERROR 12345 --- [shop] [nio-8080-exec-1] c.e.s.Checkout            : Cannot pay",
        ERROR,
        "c.e.s.Checkout",
        "Cannot pay",
    );
    check(
        "17/06/09 20:10:40 INFO executor.Backend: Registered handlers\n17/06/09 20:10:41 INFO util.Utils: Going on",
        INFO,
        "util.Utils",
        "Going on",
    );
    check(
        "081109 203615 148 INFO dfs.DataNode$PacketResponder: PacketResponder 1 terminating\n\
         081109 203807 222 WARN dfs.FSNamesystem: BLOCK* slow",
        WARN,
        "dfs.FSNamesystem",
        "BLOCK* slow",
    );
    check(
        "[2024-01-02T03:04:05,678][INFO ][o.e.n.Node               ] [node-1] started\n\
         [2024-01-02T03:04:05,679][WARN ][o.e.x.Thing              ] [node-1] low disk",
        WARN,
        "",
        "low disk",
    );
}

#[test]
fn python() {
    check(
        "2024-01-02 03:04:05,678 - shop.cart - INFO - item added\n2024-01-02 03:04:05,679 - shop.pay - ERROR - card refused",
        ERROR,
        "shop.pay",
        "card refused",
    );
    check(
        "[2024-01-02 03:04:05 +0000] [71] [INFO] Booting worker\n[2024-01-02 03:04:06 +0000] [71] [ERROR] Worker died",
        ERROR,
        "",
        "Worker died",
    );
}

#[test]
fn web_servers() {
    check(
        "2024/01/02 03:04:05 [error] 12#12: *7 open() failed\n2024/01/02 03:04:06 [warn] 12#12: *8 buffered to a file",
        WARN,
        "",
        "*8 buffered to a file",
    );
    check(
        "10.0.0.1 - - [02/Jan/2024:03:04:05 +0000] \"GET / HTTP/1.1\" 200 5\n10.0.0.2 - ann [02/Jan/2024:03:04:05 +0000] \"GET /a HTTP/1.1\" 404 5",
        None,
        "",
        "\"GET /a HTTP/1.1\" 404 5",
    );
    check(
        "[Sun Dec 04 04:47:44 2005] [notice] workerEnv.init() ok\n[Sun Dec 04 04:47:45 2005] [error] mod_jk child workerEnv in error state 6",
        ERROR,
        "",
        "mod_jk child workerEnv in error state 6",
    );
}

#[test]
fn rust_and_go() {
    check(
        "2024-01-02T03:04:05.678Z  INFO gapless::proxy: listening addr=1\n2024-01-02T03:04:05.679Z ERROR request{method=GET uri=/}: app::db: lost",
        ERROR,
        "app::db",
        "lost",
    );
    check(
        "[2024-01-02T03:04:05Z INFO  app::main] ready\n[2024-01-02T03:04:06Z WARN  app::pool] exhausted",
        WARN,
        "app::pool",
        "exhausted",
    );
    check(
        "I0710 12:34:56.123456    1234 server.go:12] started\nE0710 12:34:57.123456    1234 pool.go:99] no peers left",
        ERROR,
        "pool.go",
        "no peers left",
    );
    check(
        "2024/01/02 03:04:05 main.go:12: started\n2024/01/02 03:04:06 pool.go:7: stopped",
        None,
        "pool.go",
        "stopped",
    );
    check("2024/01/02 03:04:05 started worker\n2024/01/02 03:04:06 stopped worker", None, "", "stopped worker");
    check(
        "2024-01-02T03:04:05.678Z\tINFO\tapi/server.go:12\tlistening\n2024-01-02T03:04:05.679Z\tERROR\tapi/pool.go:7\tno peers",
        ERROR,
        "api/pool.go",
        "no peers",
    );
}

#[test]
fn phones_desktops_and_clusters() {
    check(
        "03-17 16:13:38.811  1702  2395 D WindowManager: opening\n03-17 16:13:38.819  1702  8671 W PowerManagerService: lock=1",
        WARN,
        "PowerManagerService",
        "lock=1",
    );
    check(
        "20171223-22:15:29:606|Step_LSC|30002312|onStandStepChanged 3579\n20171223-22:15:29:615|Step_SPUtils|30002312|getTodayTotal = 5",
        None,
        "Step_SPUtils",
        "getTodayTotal = 5",
    );
    check(
        "[10.30 16:49:06] chrome.exe - a.example:5070 open through proxy b HTTPS\n\
         [10.30 16:49:06] chrome.exe *64 - a.example:5070 close, 0 bytes sent\n\
         [10.30 16:49:07] telegram.exe - a.example:80 error : could not connect",
        None,
        "telegram.exe",
        "a.example:80 error : could not connect",
    );
    check(
        "2016-09-28 04:30:30, Info                  CBS    Loaded Servicing Stack\n2016-09-28 04:30:31, Info                  CSI    Transaction begun",
        INFO,
        "CSI",
        "Transaction begun",
    );
    check(
        "- 1117838570 2005.06.03 R02-M1-N0-C:J12-U11 2005-06-03-15.42.50.675872 R02-M1-N0-C:J12-U11 RAS KERNEL INFO instruction cache parity error corrected\n\
         - 1117838573 2005.06.03 R02-M1-N0-C:J12-U11 2005-06-03-15.42.53.276129 R02-M1-N0-C:J12-U11 RAS APP FATAL ciod: failed to read",
        Some(Severity::Fatal),
        "",
        "ciod: failed to read",
    );
    check(
        "134681 node-246 unix.hw state_change.unavailable 1077804742 1 Component State Change: x\n\
         350766 node-109 unix.hw state_change.unavailable 1084680778 1 Temperature is high",
        None,
        "",
        "Temperature is high",
    );
    check(
        "- 1131566461 2005.11.09 dn228 Nov 9 12:01:01 dn228/dn228 crond(pam_unix)[2915]: session closed for user root\n\
         - 1131566479 2005.11.09 dn978 Nov 9 12:01:19 dn978/dn978 kernel: usb found",
        None,
        "kernel",
        "usb found",
    );
    check(
        "nova-api.log.1 2017-05-16 00:00:00.008 25746 INFO nova.wsgi.server [req-3 1 5 - - -] 10.1.1.1 \"GET /v2 HTTP/1.1\" status: 200\n\
         nova-compute.log 2017-05-16 00:00:04.500 2931 WARNING nova.compute.manager [-] [instance: b9] VM Started (Lifecycle Event)",
        WARN,
        "nova.compute.manager",
        "[instance: b9] VM Started (Lifecycle Event)",
    );
    check(
        "Jul  1 09:00:55 host-1 kernel[0]: a b\nJul  1 09:01:05 host-1 com.apple.cts[43]: c d\n\
         Jul  1 09:03:36 host-1 com.apple.xpc.launchd[1] (com.apple.x.WebContent.3): Path not allowed",
        None,
        "com.apple.xpc.launchd",
        "Path not allowed",
    );
}

#[test]
fn databases_and_containers() {
    check(
        "2024-01-02 03:04:05.678 UTC [12] LOG:  database system is ready\n\
         2024-01-02 03:04:05.679 UTC [13] ann@shop ERROR:  relation \"x\" does not exist",
        ERROR,
        "",
        "relation \"x\" does not exist",
    );
    check(
        "1234:M 01 Jan 2024 12:00:00.123 * Ready to accept\n1234:M 01 Jan 2024 12:00:00.124 # Cannot save",
        None,
        "",
        "Cannot save",
    );
    check("web-1  | started ok\ndb-1   | ready now\nweb-1  | request done", None, "web-1", "request done");
    check("[    0.000000] Linux version\n[    1.250000] usb found", None, "", "usb found");
}

#[test]
fn bare_lines_keep_every_word() {
    check("listening on 80\nconnected to db\nrequest done in 5 ms", None, "", "request done in 5 ms");
    check("job finished at 12:00:01 ok\njob finished at 12:00:02 ok\nworker lost", None, "", "worker lost");
}
