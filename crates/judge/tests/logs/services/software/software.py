"""Runs software that others wrote, over loopback, and logs what it says by its own layout. A line is labelled by where in the source it was
logged, which Python's logging knows of each record; nothing here looks at the text.

    software.py NAME   one of celery, django, sqlalchemy, tornado, aiohttp, paramiko, apscheduler, uvicorn, scrapy
"""
import logging, os, random, socket, sys, threading, time

NAME = sys.argv[1]
random.seed(sum(map(ord, NAME)))
sites = {}


class Tag(logging.Filter):
    def filter(self, record):
        # Some libraries log through a function of their own: the site is whoever called that.
        frame = sys._getframe()
        while frame.f_back and (frame.f_globals.get("__name__", "").startswith("logging") or frame.f_code is Tag.filter.__code__
                                or frame.f_code.co_name in ("_log", "log_response", "log", "debug_sql")):
            frame = frame.f_back
        where = (frame.f_code.co_filename, frame.f_lineno, record.msg if record.args else "")
        site = sites.setdefault(where, len(sites))
        record.msg, record.args = f"zq{site}zq{record.getMessage()}", ()
        return True


def handler(layout, level=logging.DEBUG, datefmt=None):
    out = logging.StreamHandler(sys.stdout)
    out.setFormatter(logging.Formatter(layout, datefmt))
    out.addFilter(Tag())
    root = logging.getLogger()
    root.handlers, root.level = [out], level
    return out


def port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def words():
    return random.choice("order invoice picture report letter parcel ticket voucher receipt album".split())


def celery():
    from celery import Celery, signals
    from celery.contrib.testing.worker import start_worker
    signals.setup_logging.connect(lambda **_: None, weak=False)
    app = Celery("shop", broker="memory://", backend="cache+memory://")
    app.conf.worker_hijack_root_logger = False
    app.loader.import_default_modules()

    @app.task(bind=True, max_retries=2, name="shop.tasks.send_mail")
    def send_mail(self, number):
        if number % 5 == 0:
            raise self.retry(exc=OSError(f"mail server {number} is away"), countdown=0)
        return {"sent": number, "to": words()}

    @app.task(name="shop.tasks.charge")
    def charge(number):
        if number % 4 == 0:
            raise ValueError(f"card {number} of {words()} refused")
        return words()

    @app.task(name="shop.tasks.resize")
    def resize(name):
        logging.getLogger("shop.tasks").info("resized %s to %dx%d", name, random.randrange(900), random.randrange(900))

    handler("[%(asctime)s: %(levelname)s/%(processName)s] %(message)s", logging.INFO)
    with start_worker(app, perform_ping_check=False, loglevel="INFO"):
        for number in range(140):
            random.choice([lambda: send_mail.delay(number), lambda: charge.delay(number), lambda: resize.delay(words())])()
        time.sleep(8)


def django():
    handler("[%(asctime)s] %(levelname)s [%(name)s:%(module)s] %(message)s", datefmt="%d/%b/%Y %H:%M:%S")
    import django
    from django.conf import settings
    settings.configure(DEBUG=True, SECRET_KEY="x", ROOT_URLCONF=__name__, ALLOWED_HOSTS=["shop"], LOGGING_CONFIG=None,
                       DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
                       INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes"], MIDDLEWARE=["django.middleware.common.CommonMiddleware",
                       "django.middleware.csrf.CsrfViewMiddleware"])
    django.setup()
    from django.core.exceptions import PermissionDenied, SuspiciousOperation
    from django.core.management import call_command
    from django.http import HttpResponse, HttpResponseForbidden
    from django.test import Client
    from django.urls import path
    from django.contrib.auth.models import User
    call_command("migrate", verbosity=0)

    def ok(request, name):
        User.objects.filter(username=name).count()
        return HttpResponse("ok")

    def broken(request, name):
        raise RuntimeError(f"no {name}")

    def denied(request, name):
        raise PermissionDenied(name)

    def odd(request, name):
        raise SuspiciousOperation(f"odd {name}")
    globals()["urlpatterns"] = [path("ok/<name>", ok), path("broken/<name>", broken), path("denied/<name>", denied), path("odd/<name>", odd)]
    client = Client(raise_request_exception=False, enforce_csrf_checks=True, HTTP_HOST="shop")
    for number in range(140):
        kind = random.choice(["ok", "ok", "ok", "missing", "denied", "odd", "broken"])
        getattr(client, random.choice(["get", "get", "post"]))(f"/{kind}/{words()}{random.choice(['', number])}")
        if number % 9 == 0:
            User.objects.create(username=f"{words()}{number}")
        if number % 25 == 0:
            client.get("/ok/x", HTTP_HOST=f"{words()}.example")


def sqlalchemy():
    handler("%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("sqlalchemy.pool").setLevel(logging.DEBUG)
    import sqlalchemy as sa
    from sqlalchemy.orm import declarative_base, Session, relationship
    Base = declarative_base()

    class User(Base):
        __tablename__ = "users"
        id, name = sa.Column(sa.Integer, primary_key=True), sa.Column(sa.String)

    class Order(Base):
        __tablename__ = "orders"
        id, what = sa.Column(sa.Integer, primary_key=True), sa.Column(sa.String)
        user_id = sa.Column(sa.ForeignKey("users.id"))
        user = relationship(User)
    engine = sa.create_engine("sqlite://", poolclass=sa.pool.StaticPool, echo=False)
    logging.getLogger("sqlalchemy.engine").setLevel(logging.INFO)
    Base.metadata.create_all(engine)
    for number in range(60):
        with Session(engine) as session:
            user = User(name=words())
            session.add(Order(what=words(), user=user))
            session.commit() if number % 4 else session.rollback()
            session.query(Order).filter(Order.what == words()).limit(number).all()


def tornado():
    handler("[%(levelname)1.1s %(asctime)s %(module)s:%(lineno)d] %(message)s", datefmt="%y%m%d %H:%M:%S")
    import asyncio, tornado.web, tornado.httpclient

    class Ok(tornado.web.RequestHandler):
        def get(self, name):
            self.write(name)

    class Broken(tornado.web.RequestHandler):
        def get(self, name):
            raise tornado.web.HTTPError(random.choice([400, 403, 409]), "no %s for %s", name, words()) if random.random() < .6 else KeyError(name)

    async def main():
        number = port()
        tornado.web.Application([(r"/ok/(.*)", Ok), (r"/broken/(.*)", Broken)]).listen(number, "127.0.0.1")
        client = tornado.httpclient.AsyncHTTPClient()
        for count in range(150):
            kind = random.choice(["ok", "ok", "broken", "missing"])
            await client.fetch(f"http://127.0.0.1:{number}/{kind}/{words()}?n={count}", raise_error=False)
    asyncio.run(main())


def aiohttp():
    handler("%(asctime)s %(levelname)s %(name)s %(message)s")
    import asyncio
    from aiohttp import ClientSession, web

    async def ok(request):
        return web.Response(text=request.match_info["name"])

    async def broken(request):
        raise RuntimeError(request.match_info["name"])

    async def main():
        app = web.Application()
        app.router.add_get("/ok/{name}", ok), app.router.add_get("/broken/{name}", broken)
        runner = web.AppRunner(app)
        await runner.setup()
        number = port()
        await web.TCPSite(runner, "127.0.0.1", number).start()
        async with ClientSession() as client:
            for count in range(160):
                async with client.get(f"http://127.0.0.1:{number}/{random.choice(['ok', 'ok', 'missing', 'broken'])}/{words()}?q={words()}") as answer:
                    await answer.text()
        await runner.cleanup()
    asyncio.run(main())


def paramiko():
    handler("%(levelname)-.3s [%(asctime)s] thr=%(thread)d %(name)s: %(message)s")
    import paramiko

    class Server(paramiko.ServerInterface):
        def check_auth_password(self, user, password):
            return paramiko.AUTH_SUCCESSFUL if password == "good" else paramiko.AUTH_FAILED

        def check_channel_request(self, kind, number):
            return paramiko.OPEN_SUCCEEDED

        def get_allowed_auths(self, user):
            return "password,publickey"
    key = paramiko.RSAKey.generate(1024)
    for count in range(7):
        near, far = socket.socketpair()
        server = paramiko.Transport(near)
        server.add_server_key(key)
        server.start_server(threading.Event(), Server())
        client = paramiko.Transport(far)
        client.start_client(timeout=10)
        try:
            client.auth_password(words(), "good" if count % 3 else "bad")
            client.open_session().close()
        except paramiko.SSHException:
            pass
        client.close(), server.close()
        time.sleep(.2)


def apscheduler():
    handler("%(asctime)s - %(name)s - %(levelname)s - %(message)s")
    from apscheduler.schedulers.background import BackgroundScheduler

    def job(name):
        if random.random() < .2:
            raise LookupError(name)
        time.sleep(random.random() * .5)
    scheduler = BackgroundScheduler()
    scheduler.start()
    for count in range(12):
        scheduler.add_job(job, "interval", seconds=random.uniform(.4, 2), args=[words()], name=words(), id=f"{words()}-{count}",
                          max_instances=1, misfire_grace_time=1)
    for _ in range(8):
        time.sleep(1)
        some = random.choice(scheduler.get_jobs())
        random.choice([some.pause, some.resume, some.remove])()
    scheduler.shutdown()


def uvicorn():
    handler("%(levelname)s:     %(message)s")
    import uvicorn, urllib.request, urllib.error
    from fastapi import FastAPI
    app = FastAPI()

    @app.get("/items/{name}")
    def item(name: str, q: str = ""):
        if random.random() < .1:
            raise RuntimeError(f"no {name}")
        return name
    number = port()
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=number, log_config=None, log_level="debug"))
    thread = threading.Thread(target=server.run)
    thread.start()
    time.sleep(3)
    for count in range(120):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{number}/{random.choice(['items', 'items', 'missing'])}/{words()}?q={count}").read()
        except urllib.error.URLError:
            pass
    server.should_exit = True
    thread.join()


def scrapy():
    import http.server
    from scrapy import Spider
    from scrapy.crawler import CrawlerProcess

    class Site(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            missing = random.random() < .2
            self.send_response(404 if missing else random.choice([200, 200, 200, 302]))
            self.send_header("Location", f"/{words()}/{random.randrange(90)}")
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write("".join(f"<a href='/{words()}/{random.randrange(60)}'>x</a>" for _ in range(4)).encode())

        def log_message(self, *_):
            pass
    site = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site)
    threading.Thread(target=site.serve_forever, daemon=True).start()

    class Walker(Spider):
        name = "walker"
        start_urls = [f"http://127.0.0.1:{site.server_address[1]}/start"]
        custom_settings = {"CLOSESPIDER_PAGECOUNT": 70, "LOG_ENABLED": False, "TELNETCONSOLE_ENABLED": False}

        def parse(self, response):
            yield {"title": words(), "url": response.url}
            for link in response.css("a::attr(href)").getall():
                yield response.follow(link)
    process = CrawlerProcess(install_root_handler=False)
    handler("%(asctime)s [%(name)s] %(levelname)s: %(message)s", datefmt="%Y-%m-%d %H:%M:%S")
    process.crawl(Walker)
    process.start()


globals()[NAME]()
sys.stdout.flush()
os._exit(0)
