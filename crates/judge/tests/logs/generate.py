#!/usr/bin/env python3
"""Writes the labelled samples of this folder: real programs run on this machine, and every line they write is labelled.

Two ways of labelling, neither of which looks at what the log reader makes of a line:

- *our own programs* (folder `programs`, for Java, Go, Node and Python) print the event of each record beside logging it;
  lines of a stack trace have the event of the record they belong to;
- *servers* are driven over loopback, and each line is labelled by the one rule below it matches. The rules are the
  messages of the server. A line that matches none, or two, ends the run with an error, so that no line goes unlabelled.

Needs nginx, apache2, postgresql, redis-server, openssh, haproxy, mosquitto, a JDK, go, node, python3. Run as root (the
database and ssh servers change their user). Output: NAME_2k.log and NAME_2k.log_structured.csv, at most 500 lines each.
"""
import csv, glob, os, random, re, shutil, signal, socket, subprocess, sys, tempfile, time

HERE = os.path.dirname(os.path.abspath(__file__))
LINES_MAX = 500
random.seed(7)


def port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait(check, seconds=20):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if check():
            return
        time.sleep(0.05)
    sys.exit("a server did not come up")


def listening(number):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", number)) == 0


def raw(number, data, wait_for_answer=True):
    with socket.create_connection(("127.0.0.1", number), timeout=5) as s:
        s.sendall(data)
        if wait_for_answer:
            try:
                return s.recv(65536)
            except OSError:
                return b""


def write(name, rows):
    """rows: (line, content, event, template)"""
    rows = rows[:LINES_MAX]
    # No path of the machine that made them.
    plain = lambda text: re.sub(r"/tmp/tmp\w+", "/tmp/run", text.replace(f"{HERE}/programs", "/srv/shop"))
    rows = [(plain(line), plain(content), event, template) for line, content, event, template in rows]
    with open(f"{HERE}/{name}_2k.log", "w", newline="") as f:
        f.writelines(line + "\n" for line, *_ in rows)
    with open(f"{HERE}/{name}_2k.log_structured.csv", "w", newline="") as f:
        out = csv.writer(f, lineterminator="\n")
        out.writerow(["LineId", "Content", "EventId", "EventTemplate"])
        out.writerows((i + 1, content, event, template) for i, (_, content, event, template) in enumerate(rows))
    print(f"{name}: {len(rows)} lines, {len({event for _, _, event, _ in rows})} events")


def by_rules(name, text, rules):
    rules = [(f"E{i + 1}", rule, re.compile(rule + r"$")) for i, rule in enumerate(rules)]
    rows = []
    for line in text.splitlines():
        if not line.strip():
            continue
        hits = [(event, rule, m.group(0)) for event, rule, r in rules if (m := r.search(line))]
        if len(hits) != 1:
            sys.exit(f"{name}: {len(hits)} rules for: {line}\n{hits}")
        rows.append((line, hits[0][2], hits[0][0], hits[0][1]))
    write(name, rows)


def by_program(name, events, lines, begins, content):
    """Lines that match `begins` take the next event; others belong to the record before them."""
    events, rows, event = iter(events), [], None
    for line in lines:
        if re.match(begins, line):
            event = next(events)
        rows.append((line, re.sub(content, "", line, count=1), event, event))
    write(name, rows)


def run(command, **more):
    done = subprocess.run(command, capture_output=True, text=True, **more)
    if done.returncode:
        sys.exit(f"{command}: {done.stderr[-2000:]}")
    return done.stdout.splitlines(), done.stderr.splitlines()


def own_programs(tmp):
    programs = f"{HERE}/programs"
    for kind, begins, content in [
        ("long", r"\d{4}-", r"^.*? - .*? - [A-Z]+ - "), ("basic", r"[A-Z]+:", r"^[A-Z]+:[a-z.]+:")]:
        events, lines = run([sys.executable, f"{programs}/shop.py", kind])
        by_program(f"python-{kind}", events, lines, begins, content)
    lines, events = run(["node", f"{programs}/shop.js"])
    by_program("node-json", events, lines, r"\{", r'^.*"msg":')
    run(["go", "build", "-o", f"{tmp}/shop", f"{programs}/shop.go"])
    for kind, content in [("std", r"^\S+ \S+ \S+ "), ("text", r"^.*?msg="), ("json", r'^.*?"msg":')]:
        events, lines = run([f"{tmp}/shop", kind])
        by_program(f"go-{kind}", events, lines, r"", content)
    run(["javac", "-d", tmp, f"{programs}/Shop.java"])
    form = "%1$tF %1$tT,%1$tL %4$s [%3$s] %5$s%6$s%n"
    events, lines = run(["java", "-cp", tmp, f"-Djava.util.logging.SimpleFormatter.format={form}", "Shop"])
    by_program("java", events, lines, r"\d{4}-", r"^\S+ \S+ [A-Z]+ \[[\w.]+\] ")


ACCESS = [rf'"{method} \S+ HTTP/1\.\d" {status} .*' for method, status in
          [("GET", 200), ("GET", 404), ("GET", 403), ("GET", 502), ("HEAD", 200), ("POST", 405), ("POST", 413), ("GET", 304)]]


def web_traffic(number, count):
    for _ in range(count):
        n = random.randrange(100000)
        agent = random.choice(["curl/8.1", "Mozilla/5.0 (X11; Linux x86_64)", "probe"])
        head = f"Host: x\r\nUser-Agent: {agent}\r\nConnection: close\r\n"
        match random.randrange(9):
            case 0 | 1 | 2: raw(number, f"GET /?q={n} HTTP/1.1\r\n{head}\r\n".encode())
            case 3: raw(number, f"GET /missing/{n}.html HTTP/1.1\r\n{head}\r\n".encode())
            case 4: raw(number, f"GET /denied/{n} HTTP/1.1\r\n{head}\r\n".encode())
            case 5: raw(number, f"GET /upstream/{n} HTTP/1.1\r\n{head}\r\n".encode())
            case 6: raw(number, f"HEAD / HTTP/1.1\r\n{head}\r\n".encode())
            case 7: raw(number, f"POST / HTTP/1.1\r\n{head}Content-Length: 5\r\n\r\nhello".encode())
            case 8: raw(number, f"POST / HTTP/1.1\r\n{head}Content-Length: {10 ** 7 + n}\r\n\r\n".encode())


def nginx(tmp):
    number, dead = port(), port()
    os.makedirs(f"{tmp}/www/denied"), os.chmod(tmp, 0o755)
    open(f"{tmp}/www/index.html", "w").write("hello")
    open(f"{tmp}/nginx.conf", "w").write(f"""
daemon off; pid {tmp}/nginx.pid; error_log {tmp}/error.log info; events {{ }}
http {{ access_log {tmp}/access.log combined; client_max_body_size 1m; client_body_temp_path {tmp}/b; proxy_temp_path {tmp}/p;
  fastcgi_temp_path {tmp}/f; uwsgi_temp_path {tmp}/u; scgi_temp_path {tmp}/s;
  server {{ listen 127.0.0.1:{number}; root {tmp}/www; location /denied {{ deny all; }}
    location /upstream {{ proxy_pass http://127.0.0.1:{dead}; }} }} }}""")
    server = subprocess.Popen(["nginx", "-c", f"{tmp}/nginx.conf"], stderr=subprocess.DEVNULL)
    wait(lambda: listening(number))
    web_traffic(number, 1200)
    server.terminate(), server.wait()
    by_rules("nginx-access", open(f"{tmp}/access.log").read(), ACCESS)
    by_rules("nginx-error", open(f"{tmp}/error.log").read(), [
        r'open\(\) ".*" failed \(2: No such file or directory\), client: .*', r"access forbidden by rule, client: .*",
        r"connect\(\) failed \(111: Connection refused\) while connecting to upstream, .*",
        r"client intended to send too large body: \d+ bytes, .*", r"client \S+ closed keepalive connection", r"client closed connection while waiting for request, .*",
        r'using the "epoll" event method', r"nginx/\S+", r"OS: Linux .*", r"getrlimit\(RLIMIT_NOFILE\): .*",
        r"start worker processes", r"start worker process \d+", r"signal \d+ \(\w+\) received from \d+, exiting",
        r"signal \d+ \(\w+\) received, exiting", r"\d+#\d+: exiting", r"\d+#\d+: exit", r"worker process \d+ exited with code 0",
        r"client prematurely closed connection.*", r"signal 17 \(SIGCHLD\) received from \d+", r"signal 29 \(SIGIO\) received",
    ])


def apache(tmp):
    number, dead = port(), port()
    modules = glob.glob("/usr/lib/apache2/modules")[0]
    load = "\n".join(f"LoadModule {m}_module {modules}/mod_{m}.so" for m in
                     ["mpm_event", "authz_core", "authz_host", "dir", "proxy", "proxy_http", "mime"])
    open(f"{tmp}/apache.conf", "w").write(f"""
ServerRoot {tmp}\nServerName x\nListen 127.0.0.1:{number}\nPidFile {tmp}/apache.pid\n{load}\nUser www-data\nGroup www-data
ErrorLog {tmp}/apache.log\nLogLevel info\nDocumentRoot {tmp}/www\nTypesConfig /etc/mime.types\nDirectoryIndex index.html\nLimitRequestBody 1000000
<Directory {tmp}/www>\nRequire all granted\n</Directory>\n<Location /denied>\nRequire all denied\n</Location>
ProxyPass /upstream http://127.0.0.1:{dead}/""")
    server = subprocess.Popen(["apache2", "-X", "-f", f"{tmp}/apache.conf"], stderr=subprocess.DEVNULL)
    wait(lambda: listening(number))
    web_traffic(number, 900)
    server.terminate(), server.wait()
    by_rules("apache-error", open(f"{tmp}/apache.log").read(), [
        r"AH00128: File does not exist: .*", r"AH01630: client denied by server configuration: .*", r"AH00489: Apache/.* configured -- resuming normal operations",
        r"AH00094: Command line: .*", r"AH01114: HTTP: failed to make connection to backend: \S+",
        r"\(111\)Connection refused: AH00957: http: attempt to connect to .* failed", r"AH01587: Requested content-length of \d+ is larger than the configured limit of \d+",
        r"AH00959: ap_proxy_connect_backend disabling worker for \(\S+\) for \d+s", r"AH00940: http: disabled connection for \(\S+\)",
        r"AH00491: caught SIGTERM, shutting down", r"AH02032: .*", r"AH00493: .*", r"AH00492: .*", r"AH01588: .*", r"AH00526: .*",
    ])


def postgres(tmp):
    bin_folder = sorted(glob.glob("/usr/lib/postgresql/*/bin"))[-1]
    data, number = f"{tmp}/pg", port()
    os.makedirs(data), shutil.chown(data, "postgres"), os.chmod(tmp, 0o755)
    user = lambda *command: ["runuser", "-u", "postgres", "--", *command]
    run(user(f"{bin_folder}/initdb", "-D", data, "-A", "trust"))
    log = open(f"{tmp}/pg.log", "w")
    options = {"port": number, "listen_addresses": "127.0.0.1", "unix_socket_directories": "", "log_connections": "on", "log_disconnections": "on",
               "log_min_duration_statement": 0, "log_checkpoints": "on", "log_line_prefix": "%m [%p] %q%u@%d ", "fsync": "off"}
    server = subprocess.Popen(user(f"{bin_folder}/postgres", "-D", data, *[x for k, v in options.items() for x in ("-c", f"{k}={v}")]), stderr=log)
    wait(lambda: listening(number))
    sql = ["CREATE TABLE items (id int PRIMARY KEY, name text);"]
    for i in range(260):
        n = random.randrange(1000)
        sql.append([f"INSERT INTO items VALUES ({i}, 'thing {n}');", f"SELECT name FROM items WHERE id = {n};", f"SELECT * FROM missing_{n};",
                    f"INSERT INTO items VALUES (0, 'x{n}');", "CHECKPOINT;", f"SELECT {n}/0;", f"SELECT pg_sleep(0.0{n % 9});"][i % 7])
    for i in range(0, len(sql), 5):
        subprocess.run([f"{bin_folder}/psql", "-h", "127.0.0.1", "-p", str(number), "-U", random.choice(["postgres", "nobody1", "postgres"]), "postgres"],
                       input="\n".join(sql[i:i + 5]), capture_output=True, text=True)
    subprocess.run(user(f"{bin_folder}/pg_ctl", "-D", data, "stop", "-m", "fast"), capture_output=True)
    server.wait()
    by_rules("postgresql", open(f"{tmp}/pg.log").read(), [
        r"starting PostgreSQL .*", r"listening on IPv4 address .*", r"database system was shut down at .*", r"database system is ready to accept connections",
        r"connection received: host=\S+ port=\d+", r"connection authenticated: .*", r"connection authorized: user=\S+ database=\S+ application_name=psql",
        r"disconnection: session time: .*", r"duration: \S+ ms  statement: INSERT .*", r"duration: \S+ ms  statement: SELECT name .*",
        r"duration: \S+ ms  statement: SELECT pg_sleep.*", r"duration: \S+ ms  statement: CREATE .*", r"duration: \S+ ms  statement: CHECKPOINT;",
        r'relation "\w+" does not exist at character \d+', r"STATEMENT:  SELECT \* FROM missing_\d+;", r"duplicate key value violates unique constraint .*",
        r"DETAIL:  Key .* already exists\.", r"STATEMENT:  INSERT .*", r"division by zero", r"STATEMENT:  SELECT \d+/0;",
        r"checkpoint starting: immediate force wait", r"checkpoint starting: shutdown immediate", r"checkpoint complete: .*", r'role "nobody1" does not exist',
        r"received fast shutdown request", r"terminating connection due to administrator command", r"aborting any active transactions", r"background worker .* exited with exit code 1", r"shutting down",
        r"database system is shut down", r"STATEMENT:  SELECT name .*",
    ])


def redis(tmp):
    number = port()
    log = open(f"{tmp}/redis.log", "w")
    server = subprocess.Popen(["redis-server", "--port", str(number), "--bind", "127.0.0.1", "--loglevel", "verbose", "--dir", tmp, "--save", ""], stdout=log)
    wait(lambda: listening(number))
    for i in range(190):
        commands = [f"SET k{i} {random.random()}", "PING", f"GET k{i}"] + (["BGSAVE"] if i % 25 == 0 else []) + (["SAVE"] if i % 30 == 7 else [])
        raw(number, "".join(c + "\r\n" for c in commands).encode())
        if i % 9 == 0:
            raw(number, b"*100000000\r\n")
        if i % 40 == 0:
            time.sleep(0.3)
    server.terminate(), server.wait()
    by_rules("redis", open(f"{tmp}/redis.log").read(), [
        r"oO0OoO0OoO0Oo Redis is starting .*", r"Redis version=.*", r"Configuration loaded", r"monotonic clock: .*", r"Running mode=.*", r"Server initialized",
        r"Ready to accept connections", r"Accepted 127\.0\.0\.1:\d+", r"Client closed connection .*", r"Background saving started by pid \d+",
        r"DB saved on disk", r"Background saving terminated with success", r"Fork CoW for RDB: .*", r"Protocol error .* from client: .*",
        r"Received SIGTERM scheduling shutdown\.\.\.", r"User requested shutdown\.\.\.", r"Redis is now ready to exit, bye bye\.\.\.", r"WARNING.*overcommit.*",
        r"DB \d+: \d+ keys .*", r"\d+ clients connected .*", r"# WARNING: The TCP backlog .*", r"Removing the pid file\.", r"Reading from client: Connection reset by peer",
        r"WARNING: The TCP backlog .*", r"BGSAVE done, .*", r"Saving the final RDB .*", r".*Failed to test the kernel.*", r".*Increased maximum number of open files.*",
    ])


def sshd(tmp):
    number = port()
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{tmp}/host"])
    os.makedirs("/run/sshd", exist_ok=True)
    open(f"{tmp}/sshd_config", "w").write(f"ListenAddress 127.0.0.1:{number}\nHostKey {tmp}/host\nLogLevel VERBOSE\nPidFile none\nMaxAuthTries 3\nUsePAM no\nMaxStartups 100\n")
    server = subprocess.Popen(["/usr/sbin/sshd", "-D", "-f", f"{tmp}/sshd_config", "-E", f"{tmp}/sshd.log"])
    wait(lambda: listening(number))
    for i in range(110):
        match i % 4:
            case 0: raw(number, b"GET / HTTP/1.0\r\n\r\n")
            case 1: raw(number, b"", wait_for_answer=False)
            case _:
                name = random.choice(["root", "admin", "oracle", "test", "ubuntu", "pi"])
                subprocess.run(["ssh", "-p", str(number), "-i", f"{tmp}/host", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
                                f"{name}@127.0.0.1"], capture_output=True)
    time.sleep(0.5)
    server.terminate(), server.wait()
    by_rules("sshd", open(f"{tmp}/sshd.log", errors="replace").read().replace("\r", ""), [
        r"Server listening on .*", r"Connection from \S+ port \d+ on \S+ port \d+.*", r"kex_exchange_identification: Connection closed by remote host",
        r"kex_exchange_identification: client sent invalid protocol identifier .*", r"banner exchange: Connection from .*: invalid format",
        r"Invalid user \S+ from .*", r"Connection closed by \S+ port \d+", r"Connection closed by invalid user \S+ \S+ port \d+ \[preauth\]",
        r"Connection closed by authenticating user \S+ \S+ port \d+ \[preauth\]", r"Failed publickey for \w+ from .*", r"Failed publickey for invalid user .*",
        r"Received signal 15; terminating\.", r"Connection reset by .*", r"kex_exchange_identification: read: Connection reset by peer", r"Received disconnect from .*",
        r"Disconnected from authenticating user .*", r"Disconnected from invalid user .*", r"User \w+ from \S+ not allowed because .*",
    ])


def haproxy(tmp):
    number, dead, alive = port(), port(), port()
    open(f"{tmp}/haproxy.cfg", "w").write(f"""
global\n log stdout format raw daemon\ndefaults\n mode http\n log global\n option httplog\n timeout client 5s\n timeout server 5s\n timeout connect 1s
frontend web\n bind 127.0.0.1:{number}\n http-request deny if {{ path_beg /denied }}\n use_backend dead if {{ path_beg /upstream }}\n default_backend alive
backend dead\n server d1 127.0.0.1:{dead} check inter 200ms\nbackend alive\n server a1 127.0.0.1:{alive}""")
    behind = subprocess.Popen([sys.executable, "-m", "http.server", "-b", "127.0.0.1", str(alive), "-d", f"{tmp}/www"], stderr=subprocess.DEVNULL)
    wait(lambda: listening(alive))
    log = open(f"{tmp}/haproxy.log", "w")
    server = subprocess.Popen(["haproxy", "-f", f"{tmp}/haproxy.cfg"], stdout=log, stderr=subprocess.DEVNULL)
    wait(lambda: listening(number))
    web_traffic(number, 500)
    server.terminate(), server.wait(), behind.terminate(), behind.wait()
    status = lambda method, code, servers: rf'127\.0\.0\.1:\d+ \[.*\] web {servers} \S+ {code} .* "{method} \S+ HTTP/1\.1"'
    by_rules("haproxy", open(f"{tmp}/haproxy.log").read(), [
        status("GET", 200, "alive/a1"), status("GET", 404, "alive/a1"), status("HEAD", 200, "alive/a1"), status("POST", 501, "alive/a1"), status("GET", 403, "web/<NOSRV>"),
        status("GET", 503, r"dead/\S+"), status("GET", 304, "alive/a1"), r"Server dead/d1 is DOWN, .*", r"backend dead has no server available!", r"Proxy \S+ stopped .*", r'.*<BADREQ>.*',
        status("POST", -1, "alive/a1"), status("POST", 400, r"\S+"), status("POST", 502, r"\S+"), status("GET", 502, r"alive/\S+"), r"Connect from .*",
    ])


def mosquitto(tmp):
    number = port()
    open(f"{tmp}/mosquitto.conf", "w").write(f"listener {number} 127.0.0.1\nallow_anonymous true\nlog_type all\nlog_timestamp true\nlog_timestamp_format %Y-%m-%dT%H:%M:%S\n")
    log = open(f"{tmp}/mosquitto.log", "w")
    server = subprocess.Popen(["mosquitto", "-c", f"{tmp}/mosquitto.conf"], stderr=log)
    wait(lambda: listening(number))
    for i in range(80):
        name = f"client-{random.randrange(10000)}".encode()
        connect = b"\x00\x04MQTT\x04\x02\x00\x3c\x00" + bytes([len(name)]) + name
        topic = f"sensor/{i % 7}/temp".encode()
        publish = b"\x00" + bytes([len(topic)]) + topic + b"21"
        subscribe = b"\x00\x01\x00" + bytes([len(topic)]) + topic + b"\x00"
        packets = b"\x10" + bytes([len(connect)]) + connect
        packets += (b"\x30" + bytes([len(publish)]) + publish) if i % 3 else (b"\x82" + bytes([len(subscribe)]) + subscribe)
        packets += b"\xe0\x00" if i % 4 else b""
        if i % 11 == 5:
            packets = b"\x10\x05hello"
        raw(number, packets), time.sleep(0.01)
    server.terminate(), server.wait()
    by_rules("mosquitto", open(f"{tmp}/mosquitto.log").read(), [
        r"mosquitto version \S+ starting", r"Config loaded from .*", r"Opening ipv4 listen socket on port \d+\.", r"mosquitto version \S+ running", r"New connection from \S+ on port \d+\.",
        r"New client connected from \S+ as \S+ \(.*\)\.", r"No will message specified\.", r"Sending CONNACK to \S+ \(0, 0\)", r"Received PUBLISH from \S+ \(.*\)", r"Received SUBSCRIBE from \S+",
        r"\ssensor/\d/temp \(QoS 0\)", r"\S+ 0 sensor/\d/temp", r"Sending SUBACK to \S+", r"Received DISCONNECT from \S+", r"Client \S+ disconnected\.", r"Client \S+ closed its connection\.",
        r"Client <unknown> disconnected due to protocol error\.", r"mosquitto version \S+ terminating", r"Sending PUBLISH to .*", r"Client <unknown> disconnected due to malformed packet\.",
        r"Client \S+ already connected, closing old connection\.",
    ])


def main():
    wanted = sys.argv[1:]
    tmp = tempfile.mkdtemp()
    try:
        for make in (own_programs, nginx, apache, postgres, redis, sshd, haproxy, mosquitto):
            if not wanted or make.__name__ in wanted:
                make(tmp)
    finally:
        shutil.rmtree(tmp, ignore_errors=True)


main()
