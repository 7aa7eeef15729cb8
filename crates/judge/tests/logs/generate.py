#!/usr/bin/env python3
"""Writes the labelled samples of this folder: real programs run on this machine, and every line they write is labelled.

Two ways of labelling, neither of which looks at what the log reader makes of a line:

- *our own programs* (folder `programs`, for Java, Go, Node and Python) print the event of each record beside logging it;
  lines of a stack trace have the event of the record they belong to;
- *servers* are driven over loopback, and each line is labelled by the one rule below it matches. The rules are the
  messages of the server. A line that matches none, or two, ends the run with an error, so that no line goes unlabelled.

Needs nginx, apache2, postgresql, redis-server, openssh, haproxy, systemd, mosquitto, a JDK, go, node, python3. Run as root (the
database and ssh servers change their user). Output: NAME_2k.log and NAME_2k.log_structured.csv, at most 500 lines each.
"""
import base64, csv, glob, hashlib, os, random, re, shutil, signal, socket, subprocess, sys, tempfile, threading, time

HERE = os.path.dirname(os.path.abspath(__file__))
LINES_MAX = 500
LAST_LINES = 12
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
    if len(rows) > LINES_MAX:
        # What a server says as it ends is kept. Its records are single lines: none is torn.
        rows = rows[:LINES_MAX - LAST_LINES] + rows[-LAST_LINES:]
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


class Syslog(threading.Thread):
    """Takes syslog datagrams and keeps them as a syslog daemon writes them to a file: time, host, tag, message."""

    def __init__(self, place):
        super().__init__(daemon=True)
        self.socket = socket.socket(socket.AF_UNIX if isinstance(place, str) else socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(place)
        self.lines = []
        self.start()

    def run(self):
        while True:
            data = self.socket.recv(65536).decode(errors="replace")
            for line in re.sub(r"^<\d+>", "", data).rstrip("\n\0").splitlines():
                # Sent over /dev/log, a message has no host yet.
                self.lines.append(re.sub(r"^(\w{3} [ \d]\d \S+) (?=\S+\[\d+\]:|\w+:)", r"\1 web1 ", line))


def apache(tmp):
    number, dead, slow = port(), port(), port()
    modules = glob.glob("/usr/lib/apache2/modules")[0]
    load = "\n".join(f"LoadModule {m}_module {modules}/mod_{m}.so" for m in
                     ["mpm_event", "authz_core", "authz_host", "authn_core", "authn_file", "authz_user", "auth_basic", "dir", "autoindex", "proxy", "proxy_http",
                      "mime", "cgid", "rewrite", "alias"])
    web, behind = f"{tmp}/apache", socket.create_server(("127.0.0.1", slow))
    for folder in ["www/empty", "www/private", "cgi"]:
        os.makedirs(f"{web}/{folder}")
    os.chmod(tmp, 0o755), open(f"{web}/www/index.html", "w").write("hello")
    for name, text in [("warn", "echo shop: stock is low >&2; echo Content-Type: text/plain; echo; echo ok"), ("bad", "echo no header"), ("silent", "exit 3")]:
        open(f"{web}/cgi/{name}.cgi", "w").write(f"#!/bin/sh\n{text}\n"), os.chmod(f"{web}/cgi/{name}.cgi", 0o755)
    open(f"{web}/users", "w").write("ann:{SHA}" + base64.b64encode(hashlib.sha1(b"right").digest()).decode() + "\n")
    open(f"{web}/apache.conf", "w").write(f"""
ServerRoot {web}\nServerName web1\nListen 127.0.0.1:{number}\nPidFile {web}/apache.pid\n{load}\nUser www-data\nGroup www-data
ErrorLog {web}/error.log\nLogLevel info\nDocumentRoot {web}/www\nTypesConfig /etc/mime.types\nDirectoryIndex index.html\nLimitRequestBody 1000000
ScriptSock {web}/cgid\nScriptAlias /cgi {web}/cgi\nLimitRequestFieldSize 600\nProxyTimeout 1\nRewriteEngine on\nRewriteRule ^/loop/(.*)$ /loop/x$1 [N=30]
<Directory {web}>\nRequire all granted\nOptions +ExecCGI\n</Directory>\n<Location /denied>\nRequire all denied\n</Location>
<Location /private>\nAuthType Basic\nAuthName x\nAuthUserFile {web}/users\nRequire user bob ann\n</Location>
ProxyPass /upstream http://127.0.0.1:{dead}/\nProxyPass /slow http://127.0.0.1:{slow}/""")
    server = subprocess.Popen(["apache2", "-D", "FOREGROUND", "-f", f"{web}/apache.conf"], stderr=subprocess.DEVNULL)
    wait(lambda: listening(number))
    login = lambda user, word: "Authorization: Basic " + base64.b64encode(f"{user}:{word}".encode()).decode() + "\r\n"
    for i in range(620):
        n = random.randrange(100000)
        path, more = random.choice([("/", ""), (f"/empty/?n={n}", ""), (f"/denied/{n}", ""), (f"/cgi/missing{n}.cgi", ""), ("/cgi/warn.cgi", ""), ("/cgi/bad.cgi", ""), ("/cgi/silent.cgi", ""),
                                    ("/private/", login(random.choice(["eve", "mallory", "trent", "oscar"]), "x")), ("/private/", login("ann", f"wrong{n}")), (f"/upstream/{n}", ""), (f"/%zz{n}", ""), (f"/../{n}", ""),
                                    (f"/index.html/{n}", ""), (f"/a{n}%2fb", ""), (f"/{n}", f"X-Long: {'y' * 700}\r\n"), ("/" + "z" * 300, "")])
        if i % 150 == 10:
            path = "/slow/x"
        body = f"Content-Length: {10 ** 7 + n}\r\n" if i % 17 == 3 else ""
        method = "POST" if body else "GET"
        raw(number, f"{method} {path} HTTP/1.1\r\nHost: x\r\nReferer: http://shop.example/{n}\r\n{more if i % 3 else more}{body}Connection: close\r\n\r\n".encode())
        if i == 300:
            server.send_signal(signal.SIGUSR1), time.sleep(1)
    server.terminate(), server.wait(), behind.close()
    by_rules("apache-error", open(f"{web}/error.log").read(), APACHE)


# The messages of httpd and its modules, each with its number where it has one.
APACHE = [
    r"AH00130: File does not exist: .*", r"AH01630: client denied by server configuration: .*",
    r"AH00489: Apache/.* configured -- resuming normal operations", r"AH00094: Command line: .*",
    r"AH01276: Cannot serve directory .*", r"End of script output before headers: .*", r"malformed header from script '\S+': Bad header: .*",
    r"AH10244: invalid URI path .*", r"AH01264: stderr from \S+: script not found or unable to stat.*", r"AH00036: access to /z+ failed .*",
    r"AH00561: Request header exceeds LimitRequestFieldSize: .*", r'AH01617: user \S+: authentication failure for "\S+": Password Mismatch.*',
    r"AH01618: user \S+ not found: .*", r"AH00026: found %2f .*", r"AH01588: Requested content-length of \d+ is larger than the configured limit of \d+.*",
    r"AH01114: HTTP: failed to make connection to backend: \S+, .*", r"AH00957: http: attempt to connect to .* failed", r"AH01270: Error reading request entity data, .*",
    r"AH01102: error reading status line from remote server .*", r"AH00898: Error reading from remote server returned by .*", r"AH00491: caught SIGTERM, shutting down",
    r"AH01095: prefetch request body failed to .*", r"AH00493: SIGUSR1 received\.  Doing graceful restart", r"AH00492: caught SIGWINCH, .*", r"AH00096: removed PID file .*",
    r"AH00490: Server built: .*", r"shop: stock is low", r"echo: echo: I/O error", r"AH00959: .*", r"AH00940: .*", r"AH01259: .*", r"AH03490: .*",
]


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
    for i in range(280):
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
    for name in ["host", "right", "wrong"]:
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{tmp}/{name}"])
    os.makedirs("/run/sshd", exist_ok=True), os.makedirs(f"{tmp}/ssh"), os.chmod(tmp, 0o755)
    shutil.copy(f"{tmp}/right.pub", f"{tmp}/ssh/keys")
    open(f"{tmp}/sshd_config", "w").write(f"""ListenAddress 127.0.0.1:{number}\nHostKey {tmp}/host\nLogLevel VERBOSE\nPidFile none\nMaxAuthTries 3\nUsePAM yes
StrictModes no\nPermitRootLogin yes\nAuthorizedKeysFile {tmp}/ssh/keys\nDenyUsers games\nMaxStartups 100\nSubsystem sftp internal-sftp\n""")
    log = Syslog("/dev/log")
    server = subprocess.Popen(["/usr/sbin/sshd", "-D", "-f", f"{tmp}/sshd_config"])
    wait(lambda: listening(number))
    open(f"{tmp}/ask", "w").write("#!/bin/sh\necho wrong\n"), os.chmod(f"{tmp}/ask", 0o755)

    def ssh(user, key, *more):
        ask = dict(os.environ, SSH_ASKPASS=f"{tmp}/ask", SSH_ASKPASS_REQUIRE="force")
        command = ["ssh", "-F", "none", "-p", str(number), "-i", f"{tmp}/{key}", "-o", "IdentitiesOnly=yes", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", *more, f"{user}@127.0.0.1"]
        return subprocess.Popen([*command, "true"], env=ask, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)

    guests = ["admin", "oracle", "test", "ubuntu", "pi", "guest", "deploy", "git"]
    running = []
    for i in range(92):
        match i % 12:
            case 0: raw(number, b"GET / HTTP/1.0\r\n\r\n")
            case 1: raw(number, b"", wait_for_answer=False)
            case 2 | 3: running.append(ssh("root", "right"))
            case 4: running.append(ssh(random.choice(guests), "wrong", "-o", "PreferredAuthentications=password", "-o", "NumberOfPasswordPrompts=1"))
            case 5: running.append(ssh(random.choice(["root", "backup", "mail"]), "wrong", "-o", "PreferredAuthentications=password", "-o", f"NumberOfPasswordPrompts={1 + i % 3}"))
            case 6: running.append(ssh(random.choice(guests), "wrong", "-o", "BatchMode=yes"))
            case 7: running.append(ssh("games", "wrong", "-o", "BatchMode=yes"))
            case 8: running.append(ssh("root", "right", "-o", "KexAlgorithms=diffie-hellman-group1-sha1"))
            case 9: running.append(ssh(random.choice(["root", "news"]), "wrong", "-o", "BatchMode=yes"))
            case 10: raw(number, b"SSH-2.0-probe\r\n" + bytes([0, 0, 0, 12]) + b"garbage12345", wait_for_answer=False)
            case 11: running.append(ssh("root", "right", "-o", "Ciphers=3des-cbc"))
        if len(running) == 4:
            [client.wait() for client in running], running.clear()
    [client.wait() for client in running], time.sleep(3)
    server.terminate(), server.wait(), time.sleep(0.3), os.unlink("/dev/log")
    by_rules("sshd", "\n".join(log.lines), SSHD)


# The messages of sshd and of the PAM modules it calls; the constants its formats are filled with ("invalid user",
# "authenticating user", the method's name) tell messages apart, names and addresses do not.
SSHD = [
    r"Server listening on .*", r'Connection from \S+ port \d+ on \S+ port \d+ rdomain ""', r"Accepted key \S+ \S+ found at \S+", r"Accepted publickey for \S+ from .*", r"Postponed publickey for \S+ from .*",
    r"pam_unix\(sshd:session\): session opened for user .*", r"pam_unix\(sshd:session\): session closed for user \S+", r"pam_systemd\(sshd:session\): Failed to connect to system bus: .*",
    r"pam_limits\(sshd:session\): Could not set limit for .*", r"pam_env\(sshd:session\): deprecated reading of user environment enabled", r"Starting session: command for \S+ from .*",
    r"Received disconnect from .*", r"Disconnected from user \S+ \S+ port \d+", r"Close session: user .*", r"Failed password for (?!invalid user)\S+ from .*", r"Failed password for invalid user \S+ from .*",
    r"Failed publickey for (?!invalid user)\S+ from .*", r"Failed publickey for invalid user \S+ from .*", r"Failed none for invalid user \S+ from .*",
    r"error: kex_exchange_identification: Connection closed by remote host", r"error: kex_exchange_identification: client sent invalid protocol identifier .*", r"error: kex_exchange_identification: read: Connection reset by peer",
    r"Connection closed by [\d.]+ port \d+", r"Connection closed by invalid user \S+ \S+ port \d+ \[preauth\]", r"Connection closed by authenticating user \S+ \S+ port \d+ \[preauth\]", r"Connection reset by [\d.]+ port \d+",
    r"banner exchange: Connection from .*: invalid format", r"ssh_dispatch_run_fatal: Connection from .*: Broken pipe \[preauth\]", r"ssh_dispatch_run_fatal: Connection from .*: Connection corrupted \[preauth\]", r"error: send_error: write: Broken pipe",
    r"pam_unix\(sshd:auth\): check pass; user unknown", r"pam_unix\(sshd:auth\): authentication failure; .* rhost=\S* ", r"pam_unix\(sshd:auth\): authentication failure; .* rhost=\S*  user=\S+",
    r"PAM \d+ more authentication failures?; .*  user=\S+", r"User \S+ from \S+ not allowed because listed in DenyUsers",
    r"Unable to negotiate with .* no matching key exchange method found\. .*", r"Unable to negotiate with .* no matching cipher found\. .*", r"Invalid user \S+ from .*",
    r"error: maximum authentication attempts exceeded for (?!invalid user).*", r"Disconnecting authenticating user .* Too many authentication failures \[preauth\]", r"Received signal 15; terminating\.",
    r"Bad packet length \d+\. \[preauth\]", r"padding error: need \d+ block \d+ mod \d+ \[preauth\]", r"Connection closed by \S+ port \d+ \[preauth\]",
]


def haproxy(tmp):
    number, plain, raw_port, dead, alive, log_port = port(), port(), port(), port(), port(), port()
    os.makedirs(f"{tmp}/haproxy", exist_ok=True), open(f"{tmp}/haproxy/index.html", "w").write("hello")
    log = Syslog(("127.0.0.1", log_port))
    open(f"{tmp}/haproxy.cfg", "w").write(f"""
global\n log 127.0.0.1:{log_port} local0\n log-send-hostname web1\n stats socket {tmp}/haproxy.sock level admin
defaults\n mode http\n log global\n timeout client 5s\n timeout server 5s\n timeout connect 1s
frontend web\n option httplog\n bind 127.0.0.1:{number}\n http-request deny if {{ path_beg /denied }}\n use_backend dead if {{ path_beg /upstream }}\n default_backend alive
frontend plain\n bind 127.0.0.1:{plain}\n default_backend alive
frontend raw\n mode tcp\n option tcplog\n bind 127.0.0.1:{raw_port}\n default_backend tcp
backend tcp\n mode tcp\n server t1 127.0.0.1:{alive} check inter 500ms
backend dead\n server d1 127.0.0.1:{dead} check inter 200ms
backend alive\n option httpchk GET /index.html\n server a1 127.0.0.1:{alive} check inter 300ms\n server a2 127.0.0.1:{alive} check inter 300ms\n""")
    start = lambda: subprocess.Popen([sys.executable, "-m", "http.server", "-b", "127.0.0.1", str(alive), "-d", f"{tmp}/haproxy"], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    behind = start()
    wait(lambda: listening(alive))
    server = subprocess.Popen(["haproxy", "-f", f"{tmp}/haproxy.cfg"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait(lambda: listening(number))

    def admin(command):
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(f"{tmp}/haproxy.sock"), s.sendall((command + "\n").encode()), s.recv(4096)

    for i in range(18):
        web_traffic(number, 14)
        for _ in range(5):
            raw(plain, f"GET /{random.randrange(999)} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            raw(raw_port, f"GET /{random.randrange(999)} HTTP/1.0\r\n\r\n".encode())
        name = random.choice(["alive/a1", "alive/a2"])
        for command in [f"set server {name} state maint", f"set server {name} state ready", f"disable frontend plain", f"enable frontend plain", f"set server {name} state drain", f"set server {name} state ready"]:
            admin(command)
        if i in (3, 7, 11):
            behind.terminate(), behind.wait(), time.sleep(1.5)
            web_traffic(number, 8)
            behind = start()
            wait(lambda: listening(alive)), time.sleep(1)
    server.send_signal(signal.SIGUSR1), server.wait(), behind.terminate(), behind.wait()
    by_rules("haproxy", "\n".join(log.lines), HAPROXY)


# The messages of HAProxy. A request is one format string (`option httplog`), whatever the method, server and status;
# what a health check adds to its message (reason, duration, servers left) is filled in.
HAPROXY = [
    r"Proxy \S+ started\.", r'[\d.]+:\d+ \[\S+\] \S+ \S+/\S+ [-\d]+/[-\d]+/[-\d]+/[-\d]+/[-+\d]+ [-\d]+ .* \d+/\d+/\d+/\d+/\+?\d+ \d+/\d+ ".*"', r"[\d.]+:\d+ \[\S+\] \S+ \S+/\S+ [-\d]+/[-\d]+/[-\d]+ \d+ \S+ \d+/\d+/\d+/\d+/\+?\d+ \d+/\d+",
    r"Connect from \S+ to \S+ \(\S+\)", r"Server \S+ is going DOWN for maintenance\. .*", r"Server \S+ is UP/READY \(leaving forced maintenance\)\.", r"Server \S+ is UP \(leaving forced drain\)\.",
    r"Server \S+ enters drain state\. .*", r"Resumed frontend \S+\.", r"Paused frontend \S+\.", r"Server \S+ is UP, reason: .*", r"Server \S+ is DOWN, reason: .*", r"backend \S+ has no server available!",
    r"Proxy \S+ stopped \(cumulated conns: .*\)\.",
]


UNITS = {
    "web.service": "Description=Shop front end\n[Service]\nExecStart=/bin/sh -c 'echo listening; exec sleep 1000'\nExecReload=/bin/true",
    "crash.service": "Description=Order worker\nStartLimitBurst=3\n[Service]\nExecStart=/bin/sh -c 'echo order lost >&2; exit 3'\nRestart=on-failure\nRestartSec=100ms",
    "killed.service": "Description=Image resizer\n[Service]\nExecStart=/bin/sh -c 'kill -SEGV $$$$'",
    "late.service": "Description=Search index\n[Service]\nType=notify\nExecStart=/bin/sleep 100\nTimeoutStartSec=300ms",
    "stubborn.service": "Description=Mail queue\n[Service]\nExecStart=/bin/sh -c 'trap \"\" TERM; while :; do sleep 0.1; done'\nTimeoutStopSec=300ms",
    "once.service": "Description=Nightly report\n[Service]\nType=oneshot\nExecStart=/bin/true",
    "check.service": "Description=Stock check\n[Service]\nType=oneshot\nExecStart=/bin/false",
    "missing.service": "Description=Old importer\n[Service]\nExecStart=/usr/bin/no-such-program",
    "needs.service": "Description=Checkout\nRequires=check.service\nAfter=check.service\n[Service]\nExecStart=/bin/sleep 100",
    "maybe.service": "Description=Feature probe\nConditionPathExists=/no/such/file\n[Service]\nExecStart=/bin/true",
    "prepare.service": "Description=Cache warmer\n[Service]\nExecStartPre=/bin/sh -c 'exit 7'\nExecStart=/bin/sleep 100",
    "report.timer": "Description=Report timer\n[Timer]\nOnActiveSec=1h\nUnit=once.service",
    "typo.service": "Description=Misspelt unit\n[Service]\nExecStrat=/bin/true\nExecStart=/bin/true",
    "front.socket": "Description=Front socket\n[Socket]\nListenStream=%t/front.sock\nService=web.service",
}


def systemd(tmp):
    """A user manager in namespaces of its own, with a journal of its own: `journalctl` prints what both wrote."""
    units = f"{tmp}/units"
    os.makedirs(units)
    for name, text in UNITS.items():
        open(f"{units}/{name}", "w").write(f"[Unit]\n{text}\n")
    starts = ["web", "crash", "killed", "late", "stubborn", "once", "check", "missing", "needs", "maybe", "prepare", "report.timer", "typo", "front.socket"]
    lines = ["mount -t tmpfs none /run", "mkdir -p /run/systemd/system /run/user/0/systemd", f"cp -r {units} /run/user/0/systemd/user", "hostname web1", f"export XDG_RUNTIME_DIR=/run/user/0 HOME={tmp}",
             "(/lib/systemd/systemd-journald &) ; sleep 1", "systemd --user --log-target=journal --unit=basic.target &", "sleep 2"]
    for i in range(10):
        for unit in random.sample(starts, len(starts)):
            lines.append(f"timeout 5 systemctl --user start {unit}")
        lines += ["sleep 0.7", "systemctl --user reload web; systemctl --user kill -s TERM web; sleep 0.1", "systemctl --user stop stubborn needs report.timer front.socket web", "systemctl --user reset-failed"]
        lines.append("systemctl --user daemon-reload" if i % 3 == 0 else "systemd-run --user --quiet sh -c 'echo job done'")
    lines += ["systemctl --user exit; sleep 1", "rmdir /sys/fs/cgroup/*/init.scope 2> /dev/null", "SYSTEMD_COLORS=0 SYSTEMD_URLIFY=0 journalctl --no-pager -o short"]
    done = subprocess.run(["unshare", "-m", "-u", "-p", "-f", "--mount-proc", "--propagation", "private", "bash", "-c", "\n".join(lines)], capture_output=True, text=True)
    keep = [line for line in done.stdout.splitlines() if re.match(r"\w{3} [ \d]\d \S+ web1 (?!kernel|systemd-journald)", line)]
    by_rules("systemd", "\n".join(keep), SYSTEMD)


# The messages of the user manager and of the units' programs; unit, description, status and signal are filled in.
SYSTEMD = [
    r"Started .*\.", r"Starting .*\.\.\.", r"Stopped (?!target).*\.", r"Stopping .*\.\.\.", r"Finished .*\.", r"Failed to start .*\.", r"Reloading \S+ - .*\.\.\.", r"Reloaded .*\.", r"Listening on .*\.", r"Closed .*\.",
    r"Reached target .*\.", r"Stopped target .*\.", r"Created slice .*\.", r"Removed slice .*\.", r"Failed to listen on .*\.", r"Dependency failed for .*\.", r"Startup finished in \S+\.", r"Reloading\.",
    r"\S+: Main process exited, code=\w+, status=\d+/\w+", r"\S+: Control process exited, code=\w+, status=\d+/\w+", r"\S+: Failed with result '\S+'\.", r"\S+: Scheduled restart job, restart counter is at \d+\.",
    r"\S+: Start request repeated too quickly\.", r"\S+: Killing process \d+ \(\S+\) with signal \w+\.", r"\S+: State '\S+' timed out\. Killing\.", r"\S+: start operation timed out\. Terminating\.",
    r"\S+: Job \S+ failed with result '\w+'\.", r"\S+: Sent signal SIGTERM to main process .* on client request\.", r"\S+ - .* was skipped because of an unmet condition check .*", r"\S+: Unknown key '\w+' in section .*",
    r"\S+: Failed to locate executable .*", r"\S+: Failed at step EXEC spawning .*", r"\S+: Socket service \S+ already active, refusing\.", r"Failed to connect to system bus: .*", r"Couldn't move remaining .*",
    r"cgroup compatibility translation .*", r"\S+: Failed to migrate controller cgroups from .*", r"sh\S*: order lost", r"sh\S*: listening", r"sh\S*: job done", r"\S+: Processes still around .*",
]


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
        for make in (own_programs, nginx, apache, postgres, redis, sshd, haproxy, systemd, mosquitto):
            if not wanted or make.__name__ in wanted:
                make(tmp)
    finally:
        shutil.rmtree(tmp, ignore_errors=True)


main()
