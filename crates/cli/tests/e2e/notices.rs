//! Who is to be told is told, whatever becomes of the other receivers.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::mpsc;
use std::time::Duration;

use crate::world::{PATIENCE, Service, World, kill};

/// A webhook that answers the first request 500 and all others 204; what it was sent comes through the channel.
fn webhook() -> (u16, mpsc::Receiver<String>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("its number").port();
    let (told, heard) = mpsc::channel();
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().flatten().enumerate() {
            let (mut stream, mut text) = (stream, String::new());
            let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
            let mut buffer = [0; 4096];
            while !text.ends_with('}') {
                match stream.read(&mut buffer) {
                    Ok(length @ 1..) => text.push_str(&String::from_utf8_lossy(&buffer[..length])),
                    _ => break,
                }
            }
            let status = if number == 0 { "500 Not yet" } else { "204 Fine" };
            let _ = stream.write_all(format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").as_bytes());
            if told.send(text).is_err() {
                return;
            }
        }
    });
    (port, heard)
}

#[test]
fn ends_of_rollouts_and_lost_instances_are_told_signed_and_again_where_they_were_not_taken() {
    let mut world = World::down();
    let (port, heard) = webhook();
    let (secret, file) = (world.path("notify.key"), world.path("told"));
    fs::write(&secret, "hush\n").expect("a secret");
    // The first receiver is gone for ever; nobody waits for it.
    let notify = format!(
        "\n[[notify]]\nurl = \"http://127.0.0.1:1/\"\n\n[[notify]]\nurl = \"http://127.0.0.1:{port}/hook\"\n\
         secret_file = \"{}\"\n\n[[notify]]\ncommand = [\"sh\", \"-c\", \"echo $GAPLESS_ACTION $GAPLESS_NOTICE >> {}\"]\nformat = \"slack\"\n",
        secret.display(),
        file.display(),
    );
    let path = world.path("gapless-server.toml");
    let server = fs::read_to_string(&path).expect("the server's configuration");
    fs::write(&path, server + &notify).expect("another one");
    world.start_controller(&[]);
    world.assert_done(&world.deploy(&Service::sample(&[]), "1.0", "rolling"));

    let first = heard.recv_timeout(PATIENCE).expect("a notice");
    assert!(first.starts_with("POST /hook HTTP/1.1\r\n") && first.contains("x-gapless-signature: sha256="), "{first}");
    assert!(first.contains(r#""action":"ended""#) && first.contains(r#""text":"done, after"#), "{first}");
    let again = heard.recv_timeout(PATIENCE).expect("the same notice again");
    assert_eq!(first.lines().last(), again.lines().last());

    let (victim, pid) = world.live()[0].clone();
    kill(pid);
    let lost = heard.recv_timeout(PATIENCE).expect("a notice");
    assert!(lost.contains(r#""action":"lost""#) && lost.contains(&victim), "{lost}");
    world.eventually("the command was run for each", || {
        let told = fs::read_to_string(&file).unwrap_or_default();
        told.contains("ended {\"text\":\"shop, rollout 1: done")
            && told.contains(&format!("lost {{\"text\":\"shop: {victim} is lost"))
    });
}
