// A Node server with the paths the suites ask for. It writes down the ids it executes, one line each.
const fs = require("node:fs");
const http = require("node:http");

const release = process.env.GAPLESS_RELEASE;
const seen = fs.openSync(process.env.SAMPLE_SEEN_FILE, "a");

const server = http.createServer((request, response) => {
  const pieces = [];
  request.on("data", (piece) => pieces.push(piece));
  request.on("end", () => {
    const url = new URL(request.url, "http://localhost");
    if (url.pathname === "/healthz") return response.end("well\n");
    const id = request.headers["x-load-id"];
    if (id) fs.writeSync(seen, `${id} ${request.method} ${release} ${process.pid}\n`);
    let body = Buffer.concat(pieces);
    if (url.pathname === "/large") body = Buffer.alloc(Number(url.searchParams.get("bytes")), "x");
    if (body.length === 0) body = Buffer.alloc(1024, ".");
    const headers = { "X-Release": release, "Content-Length": body.length };
    if (id) headers["X-Load-Id"] = id;
    const late = url.pathname === "/slow" ? Number(url.searchParams.get("ms")) : 0;
    setTimeout(() => { response.writeHead(200, headers); response.end(body); }, late);
  });
});
server.keepAliveTimeout = 75000;
server.listen(Number(process.env.PORT), "127.0.0.1");
process.on("SIGTERM", () => server.close(() => process.exit(0)));
