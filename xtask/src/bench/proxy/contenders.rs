//! What is measured: the floor, Gapless and its peers, all started the same way.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::bench::peers::{self, Change, Peer, Place};
use crate::bench::process::{Group, await_listening};
use crate::workspace;

/// The names in the order in which rounds go.
pub fn all(wanted: &dyn Fn(&str) -> bool, gapless: Option<&Path>) -> anyhow::Result<Vec<Box<dyn Peer>>> {
    let mut contenders: Vec<Box<dyn Peer>> = vec![Box::new(Floor { program: optimised()? })];
    if wanted("gapless") {
        let program = match gapless {
            Some(program) => program.to_path_buf(),
            None => workspace::release_binary("gapless", "gapless")?,
        };
        contenders.push(Box::new(Gapless { program }));
    }
    contenders.extend(peers::all(wanted)?);
    Ok(contenders)
}

/// This program built with optimisation, to be told one of its hidden parts: the floor has to be as low as it can be.
pub fn optimised() -> anyhow::Result<PathBuf> {
    workspace::release_binary("xtask", "xtask")
}

struct Floor {
    program: PathBuf,
}

impl Peer for Floor {
    fn name(&self) -> &'static str {
        "floor"
    }

    fn start(&self, place: &Place, instances: &[u16]) -> anyhow::Result<Group> {
        let upstream = format!("127.0.0.1:{}", instances[0]);
        let mut command = Command::new(&self.program);
        command.args(["bench-part", "floor", &place.listen.to_string(), &upstream]);
        let group = Group::start(&mut command, place.core, &place.log())?;
        await_listening(place.listen, &place.log())?;
        Ok(group)
    }

    fn replace(&self, _: &Place, _: &Group, _: &Change<'_>) -> anyhow::Result<()> {
        anyhow::bail!("a byte forwarder replaces nothing")
    }

    fn way(&self) -> &'static str {
        "none"
    }
}

/// The data plane by itself, with a table from a file: `gapless proxy --table FILE --listen ADDRESS --threads 1`.
struct Gapless {
    program: PathBuf,
}

impl Peer for Gapless {
    fn name(&self) -> &'static str {
        "gapless"
    }

    fn start(&self, place: &Place, instances: &[u16]) -> anyhow::Result<Group> {
        let table = place.write("table.json", &table(instances))?;
        let mut command = Command::new(&self.program);
        command.arg("proxy").arg("--table").arg(table).args(["--listen", &place.listen.to_string(), "--threads", "1"]);
        let group = Group::start(&mut command, place.core, &place.log())?;
        await_listening(place.listen, &place.log())?;
        Ok(group)
    }

    fn replace(&self, _: &Place, _: &Group, _: &Change<'_>) -> anyhow::Result<()> {
        anyhow::bail!("a fixed table replaces nothing")
    }

    fn way(&self) -> &'static str {
        "none"
    }
}

/// One service on every host and path, one release, its instances: the routing table as the program keeps it, without a checksum
/// because it is written by hand.
fn table(instances: &[u16]) -> String {
    let named = |(number, port): (usize, &u16)| json!({ "id": format!("shop.r1.i{number}"), "address": format!("127.0.0.1:{port}") });
    let instances: Vec<Value> = instances.iter().enumerate().map(named).collect();
    let pool = json!({ "release": 1, "label": "1.0", "weight_bp": 10_000, "instances": instances });
    let service = json!({ "name": "shop", "routes": [{ "host": "*", "path": "/" }], "pools": [pool] });
    json!({ "version": { "epoch": 1, "generation": 1 }, "services": [service] }).to_string()
}
