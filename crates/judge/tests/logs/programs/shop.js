// Logs JSON as pino does (level numbers, err objects); prints the event of each record on stderr.
let seed = 7;
const random = (n) => (seed = (seed * 48271) % 2147483647) % n;
const users = ["ann", "bob", "cleo", "dora", "emil"];
const states = ["started", "stopped", "paused", "failed"];
function log(level, event, msg, more = {}) {
  console.error(event);
  console.log(JSON.stringify({ level, time: Date.now(), pid: process.pid, hostname: "web-1", name: "shop", ...more, msg }));
}
for (let i = 0; i < 500; i++) {
  const n = random(100000), user = users[random(5)], state = states[random(4)];
  switch (random(8)) {
    case 0: log(30, "N1", "request completed", { req: { id: n, method: "GET", url: `/item/${n}` }, res: { statusCode: 200 }, responseTime: n % 90 }); break;
    case 1: log(30, "N2", `user ${user} signed in from 10.0.0.${n % 250}`); break;
    case 2: log(40, "N3", `slow query: ${n % 5000} ms`, { query: "SELECT 1" }); break;
    case 3: log(30, "N4" + state, `job ${n} ${state}`); break;
    case 4: log(50, "N5", `payment ${n} refused`, { err: { type: "CardError", message: "card \"x\" refused", stack: "CardError: refused\n    at pay (/app/pay.js:7:3)" } }); break;
    case 5: log(20, "N6", `cache miss for key item:${n}`); break;
    case 6: log(30, "N7", "configuration reloaded\nfrom disk"); break;
    default: log(30, "N8", `sent mail to ${user}${n}@example.org with subject "Order ${n}"`);
  }
}
