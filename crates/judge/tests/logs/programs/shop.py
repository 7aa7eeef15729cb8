"""Logs with Python's logging; prints the event of each record on stdout. Argument: long or basic."""
import logging, random, sys

random.seed(7)
if sys.argv[1] == "long":
    logging.basicConfig(stream=sys.stderr, level=logging.DEBUG, format="%(asctime)s - %(name)s - %(levelname)s - %(message)s")
else:
    logging.basicConfig(stream=sys.stderr, level=logging.DEBUG)
users, states = ["ann", "bob", "cleo", "dora", "emil"], ["started", "stopped", "paused", "failed"]


def say(event, logger, level, message, *values, **more):
    print(event)
    logging.getLogger(logger).log(level, message, *values, **more)


for _ in range(430):
    n, user, state = random.randrange(100000), random.choice(users), random.choice(states)
    match random.randrange(9):
        case 0: say("P1", "shop.web", logging.INFO, "GET /item/%d took %.1f ms", n, n / 1000)
        case 1: say("P2", "shop.auth", logging.INFO, "session opened for user %s", user)
        case 2: say("P3", "shop.auth", logging.WARNING, "login failed for user '%s' from %s", user, f"10.0.0.{n % 250}")
        case 3: say("P4" + state, "shop.jobs", logging.INFO, "job %d %s", n, state)
        case 4: say("P5", "shop.cache", logging.DEBUG, "evicted %d entries (%d KB)", n, n // 3)
        case 5: say("P6", "shop.cache", logging.DEBUG, "cache is full")
        case 6:
            try:
                {}[n]
            except KeyError:
                say("P7", "shop.order", logging.ERROR, "order %d could not be placed", n, exc_info=True)
        case 7: say("P8", "shop.db", logging.WARNING, "connection pool exhausted, waiting %d ms for a connection", n % 900)
        case _: say("P9", "shop.db", logging.INFO, "loaded %s from %s", f"module_{n % 9}", f"/srv/shop/mod_{n % 9}.py")
