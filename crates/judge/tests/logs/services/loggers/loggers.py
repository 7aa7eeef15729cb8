"""Logs the events it is given (JSON, one a line) by the logger that is named: std, loguru, structlog; print and epoch are programs
without a logger. dotnet and gcp imitate what there is no program for here: .NET's console logger and the envelope of a hosted log."""
import builtins, json, logging, sys, time

kind = sys.argv[1]
if kind == "std":
    logging.basicConfig(stream=sys.stdout, level=1, format="%(asctime)s %(levelname)-8s [%(process)d] %(name)s: %(message)s")
elif kind == "loguru":
    from loguru import logger as loguru
    loguru.remove()
    loguru.add(sys.stdout, level=0, backtrace=False, diagnose=False,
               format="{time:YYYY-MM-DD HH:mm:ss.SSS} | {level: <8} | {extra[where]} - {message}")
elif kind == "structlog":
    import structlog
    structlog.configure(processors=[structlog.processors.add_log_level, structlog.processors.TimeStamper(fmt="%Y-%m-%d %H:%M:%S"),
                                    structlog.dev.ConsoleRenderer(colors=True)])
for number, line in enumerate(sys.stdin):
    event = json.loads(line)
    text, level, where, name = f"zq{event['site']}zq{event['message']}", event["level"], event["logger"], event["exception"]
    try:
        if name and hasattr(builtins, name):
            raise getattr(builtins, name)("gone")
        error = None
    except Exception as caught:
        error = caught
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(1772000000 + number * 3))
    if kind == "std":
        logging.getLogger(where).log(getattr(logging, level), "%s", text, exc_info=error)
    elif kind == "loguru":
        loguru.bind(where=where).opt(exception=error).log(level, text.replace("{", "{{").replace("}", "}}") if False else text)
    elif kind == "structlog":
        structlog.get_logger().bind(logger=where).log({"error": 40, "warning": 30, "info": 20, "debug": 10}[level], text, **dict(event["fields"]))
    elif kind == "dotnet":
        print(f"{level}: {where}\n      {text}")
        if name:
            print(f"      {name}: gone\n         at App.Program.Run() in /src/App/Program.cs:line 42")
    elif kind == "gcp":
        print(json.dumps({"insertId": f"1k{number}x", "jsonPayload": {"logger": where, "message": text}, "severity": level,
                          "resource": {"type": "k8s_container"}, "timestamp": stamp + "Z"}))
    elif kind == "epoch":
        print(f"{1772000000 + number * 3}.{number * 37 % 1000:03} {level} {where} {text}")
    else:
        print(text)
    sys.stdout.flush()
