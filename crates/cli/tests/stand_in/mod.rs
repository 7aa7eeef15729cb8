//! A controller that answers each route with one fixed text and remembers what it was sent.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

type Routes = Vec<(&'static str, u16, String)>;

/// A stand-in for a controller; its thread ends with the test's process.
pub struct StandIn {
    shared: Arc<Mutex<Shared>>,
}

struct Shared {
    routes: Routes,
    bodies: Vec<String>,
    cut: Option<&'static str>,
}

impl StandIn {
    /// Listens where the controller of this state folder would.
    pub fn start(state: &Path, routes: Routes) -> StandIn {
        std::fs::create_dir_all(state).unwrap();
        let listener = UnixListener::bind(state.join("api.sock")).unwrap();
        let shared = Arc::new(Mutex::new(Shared { routes, bodies: Vec::new(), cut: None }));
        let serving = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let _ = answer(&serving, stream);
            }
        });
        StandIn { shared }
    }

    /// The bodies it was sent, in their order.
    pub fn bodies(&self) -> Vec<String> {
        self.shared.lock().unwrap().bodies.clone()
    }

    /// The next answer to this route is cut after its first line.
    pub fn cut_once(&self, route: &'static str) {
        self.shared.lock().unwrap().cut = Some(route);
    }
}

fn answer(shared: &Mutex<Shared>, stream: UnixStream) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Ok(());
        }
    }
    let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body)?;
    let mut shared = shared.lock().unwrap();
    shared.bodies.extend((!body.is_empty()).then(|| String::from_utf8_lossy(&body).into_owned()));
    let route = |name: &&str| head.starts_with(*name) && head[name.len()..].starts_with([' ', '?']);
    let found =
        shared.routes.iter().find(|(name, ..)| route(name)).map(|(name, status, text)| (*name, *status, text.clone()));
    let (name, status, text) = found.unwrap_or(("", 404, String::new()));
    let cut = shared.cut.take_if(|cut| *cut == name).is_some();
    let sent = if cut { text.lines().next().unwrap_or_default().to_owned() + "\n" } else { text.clone() };
    let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{sent}", text.len());
    reader.get_mut().write_all(head.as_bytes())
}
