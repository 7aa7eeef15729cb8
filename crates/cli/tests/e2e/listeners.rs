//! A port that answers proves nothing: the listener has to be the instance's own.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use gapless_load::Run;

use crate::clients::{brisk, end, until_under_way};
use crate::world::{Service, World, found};

/// Somebody who takes a port before the instance does and answers everything as if it were healthy.
struct Squatter {
    port: u16,
    answered: Arc<AtomicU32>,
    goes: Arc<AtomicBool>,
}

impl Squatter {
    fn on(port: u16) -> Squatter {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("the port is free still");
        let (answered, goes) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicBool::new(false)));
        let (count, stop) = (Arc::clone(&answered), Arc::clone(&goes));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(mut stream) = stream else { continue };
                let mut head = [0; 4_096];
                let length = stream.read(&mut head).unwrap_or(0);
                if !head[..length].windows(8).any(|bytes| bytes == b"/healthz") {
                    count.fetch_add(1, Ordering::SeqCst);
                }
                let _left = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi");
            }
        });
        Squatter { port, answered, goes }
    }
}

impl Drop for Squatter {
    fn drop(&mut self) {
        self.goes.store(true, Ordering::SeqCst);
        let _wakes = std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}

#[test]
fn a_program_that_takes_the_port_first_gets_no_request_and_is_told_by_name() {
    let Some(python) = found("python3") else { return };
    let world = World::up();
    let service = Service::sample(&[]);
    world.assert_done(&world.deploy(&service, "1.0", "rolling"));
    // It says on which port it will listen, and waits to be told to go on; where it cannot listen it stays all the same.
    let script = "import http.server, os, sys, time\n\
        port, go = int(sys.argv[1]), sys.argv[2]\n\
        open(go + '.' + str(port), 'w').close()\n\
        while not os.path.exists(go): time.sleep(0.02)\n\
        class Handler(http.server.BaseHTTPRequestHandler):\n\
        \x20 protocol_version = 'HTTP/1.1'\n\
        \x20 def answer(self):\n\
        \x20   length = int(self.headers.get('Content-Length') or 0); body = self.rfile.read(length) or b'ok'\n\
        \x20   self.send_response(200); self.send_header('Content-Length', str(len(body)))\n\
        \x20   self.end_headers(); self.wfile.write(body)\n\
        \x20 do_GET = do_POST = answer\n\
        \x20 def log_message(self, *words): pass\n\
        try:\n  http.server.ThreadingHTTPServer(('127.0.0.1', port), Handler).serve_forever()\n\
        except OSError as error:\n  print('cannot listen:', error, flush=True); time.sleep(600)\n";
    let go = world.path("go");
    let second = Service {
        command: format!("[\"{}\", \"server.py\", \"{{port}}\", \"{}\"]", python.display(), go.display()),
        files: vec![("server.py", script.to_owned())],
        more: String::new(),
    };
    let said = || {
        let entries = std::fs::read_dir(go.parent().expect("a parent")).expect("a folder").flatten();
        entries.filter_map(|entry| entry.file_name().to_str()?.strip_prefix("go.")?.parse::<u16>().ok()).min()
    };
    let load = Run::start(brisk(&world, "foreign")).expect("load");
    until_under_way(&load);
    let squatter = std::thread::scope(|scope| {
        let deploy = scope.spawn(|| world.deploy(&second, "1.1", "rolling"));
        world.eventually("the first candidate is there", || said().is_some());
        let squatter = Squatter::on(said().expect("a port"));
        std::fs::write(&go, "").expect("the go");
        let ended = deploy.join().expect("the deploy");
        assert_eq!(ended.code, 0, "{}", world.tell(&ended));
        let told = format!("port {} is another program's: process {}", squatter.port, std::process::id());
        let log = std::fs::read_to_string(world.path("controller.log")).unwrap_or_default();
        assert!(
            ended.stdout.contains(&told) || ended.stderr.contains(&told) || log.contains(&told),
            "{}",
            world.tell(&ended)
        );
        squatter
    });
    let sums = end(load);
    assert_eq!(sums.lost, 0, "{:?}", sums.lost_by);
    assert_eq!(squatter.answered.load(Ordering::SeqCst), 0, "no client's request reached it");
}

#[test]
fn a_server_of_several_processes_on_one_port_is_believed() {
    let Some(python) = found("python3") else { return };
    let world = World::up();
    // Each worker binds by itself (SO_REUSEPORT); the main process holds no socket.
    let script = "import http.server, os, socket, socketserver, sys, time\n\
        class Handler(http.server.BaseHTTPRequestHandler):\n\
        \x20 protocol_version = 'HTTP/1.1'\n\
        \x20 def answer(self):\n\
        \x20   length = int(self.headers.get('Content-Length') or 0); self.rfile.read(length)\n\
        \x20   self.send_response(200); self.send_header('Content-Length', '2'); self.end_headers(); self.wfile.write(b'ok')\n\
        \x20 do_GET = do_POST = answer\n\
        \x20 def log_message(self, *words): pass\n\
        class Server(http.server.ThreadingHTTPServer):\n\
        \x20 def server_bind(self):\n\
        \x20   self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1); socketserver.TCPServer.server_bind(self)\n\
        for worker in range(3):\n\
        \x20 if os.fork() == 0:\n\
        \x20   os.setsid()\n\
        \x20   Server(('0.0.0.0', int(sys.argv[1])), Handler).serve_forever()\n\
        while True: time.sleep(60)\n";
    let service = Service {
        command: format!("[\"{}\", \"server.py\", \"{{port}}\"]", python.display()),
        files: vec![("server.py", script.to_owned())],
        more: String::new(),
    };
    world.assert_done(&world.deploy(&service, "1.0", "rolling"));
    assert_eq!(world.live().len(), 3);
}
