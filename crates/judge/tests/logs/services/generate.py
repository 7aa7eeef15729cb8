#!/usr/bin/env python3
"""Writes the labelled samples in first/ and held-out/: what loggers of many languages write, labelled by the call site that logged each line.

    generate.py WORK XTASK

WORK is a folder with what was built before (see README.md), XTASK the built program. Two kinds of samples:

- the services of this folder (`orders.txt` …): what they say comes from `XTASK bench diff --events`, real loggers lay it out (`loggers/`);
- software that others wrote, run over loopback (`software/`).

Each program writes `zqNUMBERzq` before a message, NUMBER being the call site; here it becomes the label and is taken out. Lines without one
belong to the record before them. Which half a sample is in was drawn before any rule of the reader was written: SPLIT_SEED over all names.
"""
import os, random, re, subprocess, sys, tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
WORK, XTASK = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
SPLIT_SEED = 20261121
EVENTS, LINES_MAX, BYTES_MAX = 300, 400, 48_000
LEAD = re.compile(r"\w{3} \d\d, \d{4} \d+:\d\d:\d\d (AM|PM) |(info|warn|fail|dbug|crit|trce): [\w.]+\[\d+\]$")
PY, LIBS = f"{WORK}/py/bin/python", f"{WORK}/java/lib/*:{WORK}/java"
ROOT_LIBS = {"LD_LIBRARY_PATH": f"{WORK}/root/usr/lib/x86_64-linux-gnu:{WORK}/root/lib/x86_64-linux-gnu"}
LOGGERS = {
    "go-zap-json": [f"{WORK}/go/loggers", "zap"], "go-klog": [f"{WORK}/go/loggers", "klog"], "go-slog-text": [f"{WORK}/go/loggers", "slog"],
    "java-spring": ["java", "-cp", LIBS, "Loggers", "spring"], "java-jul": ["java", "-cp", LIBS, "Loggers", "jul"],
    "java-logback-json": ["java", "-cp", LIBS, "Loggers", "logstash"],
    "rust-tracing-pretty": [f"{WORK}/rs/target/debug/loggers", "pretty"], "rust-tracing-full": [f"{WORK}/rs/target/debug/loggers", "full"],
    "python-std": [PY, f"{HERE}/loggers/loggers.py", "std"], "python-loguru": [PY, f"{HERE}/loggers/loggers.py", "loguru"],
    "python-structlog": [PY, f"{HERE}/loggers/loggers.py", "structlog"], "dotnet-console": [PY, f"{HERE}/loggers/loggers.py", "dotnet"],
    "gcp-json": [PY, f"{HERE}/loggers/loggers.py", "gcp"], "plain": [PY, f"{HERE}/loggers/loggers.py", "print"],
    "plain-epoch": [PY, f"{HERE}/loggers/loggers.py", "epoch"],
    "node-pino": ["node", f"{WORK}/node/loggers.js", "pino"], "node-winston": ["node", f"{WORK}/node/loggers.js", "winston"],
    "node-console": ["node", f"{WORK}/node/loggers.js", "console"],
    "php-monolog": [f"{WORK}/root/usr/bin/php8.2", "-n", "-d", f"include_path={WORK}/root/usr/share/php", f"{WORK}/loggers.php"],
    "ruby-rails": [f"{WORK}/root/usr/bin/ruby3.1", f"{HERE}/loggers/loggers.rb"],
    "cpp-spdlog": [f"{WORK}/spd"],
}
SOFTWARE = {name: [PY, f"{HERE}/software/software.py", name] for name in
            "celery django sqlalchemy tornado aiohttp paramiko apscheduler uvicorn scrapy".split()}
SOFTWARE["springboot"] = ["java", "-cp", LIBS, "shop.Software"]
SOFTWARE["nats"] = [f"{WORK}/go/software"]


def services():
    for name in sorted(os.listdir(HERE)):
        if name.endswith(".txt"):
            with open(f"{HERE}/{name}") as f:
                yield name[:-4], f.readline().split()[1]


def split():
    """The names of both halves."""
    names = sorted([name for name, _ in services()] + list(SOFTWARE))
    random.Random(SPLIT_SEED).shuffle(names)
    return names[:len(names) // 2], names[len(names) // 2:]


def run(command, given=None):
    env = {**os.environ, "TZ": "UTC", "LC_ALL": "C.UTF-8"}
    if command[0].startswith(WORK):
        env |= ROOT_LIBS if "/root/" in command[0] or command[0].endswith("spd") else {}
    if "ruby" in command[0]:
        env["RUBYLIB"] = f"{WORK}/root/usr/lib/ruby/3.1.0:{WORK}/root/usr/lib/x86_64-linux-gnu/ruby/3.1.0"
    done = subprocess.run(command, input=given, capture_output=True, timeout=240, env=env, cwd=WORK)
    if b"zq" not in done.stdout:
        raise RuntimeError(f"{command}: {done.stderr.decode()[-800:]} {done.stdout.decode()[-300:]}")
    return done.stdout.decode()


def labelled(text):
    """Lines with the site of their record; lines before the first record are left out. A record may begin a line before its tag does."""
    lines, waiting, site = [], [], None
    for line in text.split("\n"):
        tag = re.search(r"zq(\d+)zq", line)
        # The header of java.util.logging and .NET stands on a line of its own, before the message.
        if not tag and LEAD.match(line):
            waiting.append(line)
            continue
        if tag:
            site = tag.group(1)
        if site is not None and (line or lines):
            lines += [(held, site) for held in waiting] + [(re.sub(r"zq\d+zq", "", line), site)]
        waiting = []
    return lines


def write(name, text):
    half = "first" if name in split()[0] else "held-out"
    os.makedirs(f"{HERE}/{half}", exist_ok=True)
    lines, size = [], 0
    for line, site in labelled(text)[:LINES_MAX]:
        # No path of the machine that made them.
        line = re.sub(r"/tmp/broker\w*", "/tmp/broker", line.replace(WORK, "/srv").replace(HERE, "/srv/app")).replace(os.path.expanduser("~"), "/home")
        size += len(line.encode()) + 1
        if size > BYTES_MAX:
            break
        lines.append((line, site))
    while lines and (not lines[-1][0] or LEAD.match(lines[-1][0])):
        lines.pop()
    with open(f"{HERE}/{half}/{name}_2k.log", "w") as f:
        f.writelines(line + "\n" for line, _ in lines)
    with open(f"{HERE}/{half}/{name}_2k.log_structured.csv", "w") as f:
        f.write("LineId,EventId\n")
        f.writelines(f"{number + 1},E{site}\n" for number, (_, site) in enumerate(lines))
    print(f"{half}/{name}: {len(lines)} lines, {size} bytes, {len({site for _, site in lines})} sites")


def main():
    wanted = sys.argv[3:]
    for name, layout in services():
        if not wanted or name in wanted:
            events = subprocess.run([XTASK, "bench", "diff", "--events", name, "--count", str(EVENTS)], capture_output=True, check=True).stdout
            if layout == "cpp-spdlog":
                import json
                rows = [json.loads(line) for line in events.splitlines()]
                events = "".join(f"{row['level']}\t{row['logger']}\tzq{row['site']}zq{row['message']}\n" for row in rows).encode()
            try:
                write(name, run(LOGGERS[layout], events))
            except Exception as error:
                print(f"{name}: {error}")
    for name, command in SOFTWARE.items():
        if not wanted or name in wanted:
            try:
                write(name, run(command))
            except Exception as error:
                print(f"{name}: {error}")


main()
