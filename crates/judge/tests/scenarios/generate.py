#!/usr/bin/env python3
"""Writes the scenario files beside it. Variations of traffic, share and effect of each kind of rollout; run by hand."""
import os

HERE = os.path.dirname(os.path.abspath(__file__))
SAFE = "pass|pass-weak|pass-unjudged|inconclusive|suspect"
count = {}


def write(kind, about, lines, expect, truth):
    count[kind] = count.get(kind, 0) + 1
    number = count[kind]
    seed = sum(map(ord, kind)) * 100 + number
    body = [f"# {about}", f"seed {seed}", *lines, f"truth {truth}", f"expect {expect}"]
    with open(os.path.join(HERE, f"{kind}-{number:02}.txt"), "w") as file:
        file.write("\n".join(body) + "\n")


def base(traffic, share, errors, minutes=30):
    return [f"traffic {traffic}", f"share {share}", f"errors {errors}", f"minutes {minutes}"]


# Healthy: nothing differs.
for traffic in (1, 5, 20, 100, 300):
    for share in (1, 5, 10, 50):
        for errors in (0, 0.1, 1):
            write("no-change", "The candidate is as good as the current release.", base(traffic, share, errors), SAFE, "healthy")
# Healthy, and enough traffic to prove it.
for traffic, share, errors in ((300, 50, 1), (300, 10, 1), (100, 50, 2), (100, 50, 5), (300, 50, 2), (50, 50, 20)):
    write("proven-same", "Enough errors on both to prove that there are no more.", base(traffic, share, errors), "pass", "healthy")
# Error bursts of clients that try again.
for traffic, share, errors in ((20, 10, 0.2), (100, 5, 0.1), (100, 50, 0.5), (300, 10, 1), (50, 1, 0.5), (10, 50, 1)):
    write("bursts", "Clients try again, so errors come in bursts, as they always did.",
          base(traffic, share, errors) + ["bursts 5"], SAFE, "healthy")
# Worse by a factor the traffic can show.
for traffic, share, errors, factor in (
    (100, 10, 0.1, 10), (100, 10, 1, 5), (300, 10, 0.1, 10), (300, 5, 1, 5), (300, 50, 0.1, 5), (100, 50, 0.2, 5), (20, 50, 1, 5),
    (20, 10, 1, 20), (100, 5, 1, 8), (300, 1, 1, 10), (300, 10, 2, 5), (100, 10, 2, 5), (50, 50, 0.5, 6), (50, 10, 2, 6),
    (300, 50, 1, 5), (200, 20, 0.3, 7), (100, 20, 0.5, 8), (10, 50, 2, 8), (20, 50, 2, 5), (300, 50, 0.05, 10),
):
    write("errors", "The candidate fails more often, from its first request.",
          base(traffic, share, errors) + [f"candidate errors x{factor}"], "fail", "bad")
for at in (60, 150, 240):
    for factor in (10, 20, 40):
        write("errors-later", "The candidate begins to fail some minutes in.",
              base(300, 20, 0.3) + [f"candidate errors x{factor} from {at}"], "fail", "bad")
# Only one route is broken: a tenth of the traffic.
for traffic, factor in ((100, 30), (300, 15), (300, 30), (50, 60), (200, 20), (300, 60)):
    write("one-route", "Only one route, a tenth of the traffic, is broken; it has a metric of its own.",
          base(traffic, 20, 0.3) + [f"route 10 x{factor}"], "fail", "bad")
# Latency.
for traffic, share, factor, percent in ((50, 20, 10, 5), (50, 50, 8, 4), (100, 10, 10, 8), (100, 20, 20, 4), (20, 50, 10, 6), (50, 20, 30, 5)):
    write("slow-tail", "Some of the candidate's answers take many times as long.",
          base(traffic, share, 0.1) + ["latency 50", f"candidate tail x{factor} {percent} %"], "fail", "bad")
for traffic, share, factor in ((50, 20, 2), (50, 50, 1.7), (100, 10, 2), (20, 50, 2), (100, 20, 1.6), (20, 20, 3)):
    write("slow-body", "All of the candidate's answers take longer.",
          base(traffic, share, 0.1) + ["latency 50", f"candidate body x{factor}"], "fail", "bad")
for traffic, share in ((50, 20), (20, 50), (100, 10), (50, 50), (20, 10), (5, 50)):
    write("same-latency", "Latencies are measured, and alike.", base(traffic, share, 0.1) + ["latency 50"], SAFE, "healthy")
for traffic, share in ((50, 20), (20, 50), (50, 50), (20, 20)):
    write("slow-host", "The candidate's host is a fifth slower, and was so before the rollout.",
          base(traffic, share, 0.1) + ["latency 50", "host slower x1.2"], SAFE, "healthy")
# Resources and restarts.
for percent, step in ((40, 4), (60, 2), (70, 1), (30, 10)):
    write("leak", "The candidate's memory grows until it is at its limit.",
          base(20, 20, 0.1, 60) + [f"memory {percent} % growing {step} % a minute"], "guard", "bad")
for percent in (20, 50, 80):
    write("no-leak", "The candidate's memory is as the others'.", base(20, 20, 0.1) + [f"memory {percent} %"], SAFE, "healthy")
for every in (20, 60, 100, 140):
    write("crash-loop", "The candidate's instances keep exiting.", base(20, 20, 0.1) + [f"candidate exits every {every}"], "guard", "bad")
for at in (100, 700):
    write("one-exit", "One instance of the candidate exits once.", base(20, 20, 0.1) + [f"candidate exits once at {at}"], SAFE, "healthy")
# Log lines.
for hour in (1, 4, 12):
    write("new-error", "A new ERROR line now and then, and nothing else is wrong: reported, not rolled back.",
          base(50, 20, 0.2) + [f"candidate log {hour} an hour"], SAFE, "healthy")
for hour in (30, 60, 120):
    write("noisy-error", "A new ERROR line so often that the total of ERROR lines is proven to have risen: that corroborates it.",
          base(50, 20, 0.2) + [f"candidate log {hour} an hour"], SAFE + "|fail", "noisy")
for hour in (240, 600, 1200):
    write("new-error-5xx", "A new ERROR line comes with failed requests.",
          base(50, 20, 0.2) + [f"candidate log {hour} an hour with failures"], "fail", "bad")
for hour in (10, 60, 240):
    write("known-error", "An ERROR line that both releases write as often.", base(50, 20, 0.2) + [f"both log {hour} an hour"], SAFE, "healthy")
for hour in (60, 600, 3600):
    write("renamed-line", "The candidate words an INFO line differently.", base(50, 20, 0.2) + [f"renamed info {hour} an hour"], SAFE, "healthy")
for hour in (600, 3600):
    write("lost-line", "The candidate no longer writes a line of success: a finding, no roll-back.",
          base(50, 20, 0.2) + [f"lost info {hour} an hour"], SAFE, "healthy")
write("panic", "The candidate panics twice.", base(20, 20, 0.1) + ["candidate panics 2"], "guard", "bad")
write("panic", "The candidate panics once: hold, and ask.", base(20, 20, 0.1) + ["candidate panics 1"], "inconclusive", "healthy")
# Trouble on both sides.
for traffic, share, percent in ((100, 10, 30), (100, 50, 80), (300, 5, 50), (20, 20, 100), (50, 10, 10), (300, 1, 30)):
    write("shared-outage", "A dependency of both releases fails for three minutes.",
          base(traffic, share, 0.1) + [f"outage 400 580 {percent} %"], SAFE, "healthy")
for traffic, share in ((20, 10), (100, 10), (50, 50), (200, 5)):
    write("retry-storm", "A shared outage, and clients try again in bursts.",
          base(traffic, share, 0.2) + ["bursts 8", "outage 400 460 40 %"], SAFE, "healthy")
# Little or no data.
for at in (0, 100, 250):
    write("telemetry-lost", "The candidate's telemetry stops.", base(50, 20, 0.1) + [f"candidate silent from {at}"], "inconclusive", "healthy")
for factor in (1, 3, 5):
    write("trickle", "Three requests a minute: nothing can be seen, and guards alone decide, openly.",
          base(0.05, 20, 1) + ([f"candidate errors x{factor}"] if factor > 1 else []), "pass-unjudged", "healthy" if factor == 1 else "unseen")
for share in (0,):
    write("no-traffic", "The candidate gets no request at all.", base(50, share, 0.1), "inconclusive", "healthy")
# Traffic that changes.
for traffic, share, errors in ((100, 10, 1), (100, 50, 0.5), (50, 20, 2), (20, 10, 0.5)):
    write("nightly-lull", "Traffic falls to a twentieth for ten minutes, the error rate rises meanwhile.",
          base(traffic, share, errors) + ["lull 300 900"], SAFE, "healthy")
for traffic, share, errors in ((10, 10, 1), (20, 50, 0.5), (5, 20, 2), (50, 5, 1)):
    write("ramp", "Traffic grows tenfold within the half hour.", base(traffic, share, errors) + ["ramp x10"], SAFE, "healthy")
for traffic, share, factor in ((10, 20, 8), (20, 50, 5), (30, 10, 10)):
    write("ramp-bad", "Traffic grows tenfold, and the candidate fails more often.",
          base(traffic, share, 1) + ["ramp x10", f"candidate errors x{factor}"], "fail", "bad")
for traffic, share, factor in ((100, 10, 1.2), (300, 10, 1.2), (300, 50, 1.15), (50, 50, 1.2)):
    write("slightly-worse", "A difference too small to matter is part of the null.",
          base(traffic, share, 1) + [f"candidate errors x{factor}"], SAFE, "healthy")
for traffic, share, minutes in ((100, 10, 60), (20, 50, 60), (300, 5, 45), (50, 20, 45), (5, 10, 60), (100, 1, 60)):
    write("long-watch", "Nothing differs, and it is watched for long.", base(traffic, share, 0.5, minutes), SAFE, "healthy")
for traffic, share, factor in ((100, 10, 0.5), (300, 50, 0.3), (100, 50, 0.2), (300, 20, 0.5)):
    write("better", "The candidate fails less often.", base(traffic, share, 2) + [f"candidate errors x{factor}"], "pass", "healthy")
print(sum(count.values()), count)
