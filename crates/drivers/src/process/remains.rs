//! What earlier terms left of instances in a state folder: looked at, and nothing changed by it.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gapless_model::{Epoch, InstanceId, Millis};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::task::JoinSet;

use super::instance_address;
use crate::driver::StartOrder;
use crate::keeper::{Answer, Ask, InstanceFolder, PROTOCOL, Reply, Request, Spec, frame, take_frame};

/// How long a keeper may take to say which term it obeys. One that is frozen is known by its order alone.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);

/// What is left of one instance.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Remains {
    /// Which.
    pub instance: InstanceId,
    /// The label of its release.
    pub label: String,
    /// The folder of its release.
    pub release_folder: PathBuf,
    /// Where it was to listen.
    pub address: SocketAddr,
    /// The number of the effect that ordered it.
    pub effect: u64,
    /// The newest term it is known to have seen: that of its order, or what its keeper says.
    pub epoch: Epoch,
    /// How long it may take to end, from SIGTERM to SIGKILL.
    pub stop_grace: Millis,
    /// How it is.
    pub life: RemainsLife,
}

/// How an instance is found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RemainsLife {
    /// It was ordered, and no end of it is written: it runs, or its keeper died and nobody has looked yet.
    Open,
    /// Its end is written.
    Ended,
}

impl Remains {
    /// Whether it may run and is an instance. A command that runs once is none: it has no address, and is ended by a controller that does not know it.
    #[must_use]
    pub fn is_open_instance(&self) -> bool {
        self.life == RemainsLife::Open && self.address.port() != StartOrder::NO_PORT
    }
}

/// What is left of all instances of a state folder, in the order of their names. Keepers are asked which term they obey; neither they nor their
/// instances are changed by it.
///
/// # Errors
/// When the folder is there and cannot be read.
pub async fn remains(state: &Path) -> io::Result<Vec<Remains>> {
    let entries = match fs::read_dir(state.join("instances")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut looks = JoinSet::new();
    for entry in entries {
        let name = entry?.file_name();
        if let Some(instance) = name.to_str().and_then(|name| name.parse::<InstanceId>().ok()) {
            let folder = InstanceFolder::of(state, &instance);
            looks.spawn(look(instance, folder));
        }
    }
    let mut found: Vec<Remains> = looks.join_all().await.into_iter().flatten().collect();
    found.sort_by(|a, b| a.instance.cmp(&b.instance));
    Ok(found)
}

/// None where the order was never written down whole: nothing was started by it.
async fn look(instance: InstanceId, folder: InstanceFolder) -> Option<Remains> {
    let spec = Spec::read(&folder.spec()).ok()?;
    let told = tokio::time::timeout(ANSWER_TIMEOUT, ask_epoch(&folder)).await;
    let told = told.ok().and_then(Result::ok).flatten().unwrap_or(0);
    let life = if folder.read_exit().is_some() { RemainsLife::Ended } else { RemainsLife::Open };
    Some(Remains {
        instance,
        label: spec.label,
        release_folder: spec.folder,
        address: instance_address(spec.port),
        effect: spec.effect,
        epoch: Epoch(spec.epoch.max(told)),
        stop_grace: Millis(spec.stop_grace_ms),
        life,
    })
}

async fn ask_epoch(folder: &InstanceFolder) -> io::Result<Option<u64>> {
    let mut stream = {
        let (_open, path) = folder.socket_path()?;
        UnixStream::connect(&path).await?
    };
    let hello = Ask { id: 1, request: Request::Hello { protocol: PROTOCOL, epoch: 0 } };
    stream.write_all(&frame(&hello)).await?;
    let mut incoming = Vec::new();
    loop {
        while let Some(body) = take_frame(&mut incoming).map_err(io::Error::other)? {
            let answer: Answer = serde_json::from_slice(&body)?;
            if let Reply::Hello { epoch, .. } = answer.reply {
                return Ok(Some(epoch));
            }
        }
        if stream.read_buf(&mut incoming).await? == 0 {
            return Ok(None);
        }
    }
}
