//! `gapless up`: starts the controller and the proxy on this machine.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use gapless_controller::start::StartFailed;
use gapless_controller::{End, Options};
use gapless_drivers::talk::say;
use gapless_wire::config::{ServerConfig, parse_server_config};

use crate::service_manager::ServiceManager;
use crate::{Context, Exit, Failure, hint, talk};

/// The machine's configuration in the state folder.
const CONFIG: &str = "gapless-server.toml";

/// What `gapless up` is given.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The machine's configuration [default: gapless-server.toml in the state folder, if it is there]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// Runs the verb: until SIGTERM or Ctrl-C, which end the controller alone, or until `gapless down`.
///
/// # Errors
/// What kept the controller from starting, or made it stop acting.
pub fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    talk::begin();
    let manager = ServiceManager::of_environment();
    let gapless =
        std::env::current_exe().map_err(|error| Failure::new("cannot tell where this program is").because(&error))?;
    let options = Options { state: context.state.path().to_path_buf(), config: read_config(args, context)?, gapless };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new("cannot start a runtime").because(&error))?;
    let state = options.state.clone();
    let ended = runtime.block_on(gapless_controller::run(options, |addresses| ready(addresses, &state, manager)));
    ServiceManager::of_environment().iter().for_each(ServiceManager::stopping);
    match ended {
        Ok(End::Stopped) => {
            say("the controller has ended; proxy and instances serve on, and `gapless up` takes them over again");
            Ok(Exit::Done)
        }
        Ok(End::Down) => Ok(Exit::Done),
        Ok(End::JournalFailed(reason)) => {
            let mut failure = Failure::new(
                "the controller decided nothing any more because its journal failed; it ends now that the disk can be written; traffic goes on",
            );
            failure.caused_by.push(reason);
            Err(failure.hint(hint::MEND_JOURNAL))
        }
        Ok(End::Superseded(reason)) => {
            let mut failure = Failure::new("another controller has taken over");
            failure.caused_by.push(reason);
            Err(failure.hint(hint::OTHER_CONTROLLER))
        }
        Err(failed) => Err(not_started(&failed)),
    }
}

fn ready(addresses: &[SocketAddr], state: &Path, manager: Option<ServiceManager>) {
    let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    let serving = format!("serving on {}", addresses.join(", "));
    say(format_args!("ready: {serving}, state in {}", state.display()));
    if let Some(manager) = manager {
        manager.ready(&serving);
    }
}

fn read_config(args: &Args, context: &Context) -> Result<ServerConfig, Failure> {
    let path = args.config.clone().unwrap_or_else(|| context.state.path().join(CONFIG));
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && args.config.is_none() => {
            return Ok(ServerConfig::default());
        }
        Err(error) => {
            return Err(Failure::new(format!("cannot read `{}`", path.display()))
                .because(&error)
                .hint(hint::READ_CONFIG));
        }
    };
    Ok(parse_server_config(&text, &path.display().to_string())?)
}

/// The three parts of what kept the controller from starting.
fn not_started(failed: &StartFailed) -> Failure {
    use gapless_controller::start::RecoverError;
    use gapless_controller::start::{ListenFailed, ProxyUnavailable, StoreError};
    let failure = Failure::new("the controller did not start").because(failed);
    match failed {
        StartFailed::Recover(RecoverError::Store(StoreError::InUse { .. })) => failure.hint(hint::SECOND_CONTROLLER),
        StartFailed::Recover(RecoverError::Store(StoreError::Newer { .. })) => failure.hint(hint::NEWER_JOURNAL),
        StartFailed::Recover(RecoverError::Store(StoreError::Full)) => failure.hint(hint::MAKE_ROOM),
        StartFailed::Recover(RecoverError::Store(StoreError::WitnessDamaged { .. })) => {
            failure.hint(hint::REMOVE_WITNESS)
        }
        StartFailed::Outdated(_) => failure.hint(hint::OUTDATED_JOURNAL),
        StartFailed::Survey(_) | StartFailed::Frozen { .. } => failure.hint(hint::ASK_PROXY),
        StartFailed::Recover(_) | StartFailed::Write(_) => failure.hint(hint::MEND_JOURNAL),
        StartFailed::Proxy(ProxyUnavailable::Listen(ListenFailed::InUse { .. })) => failure.hint(hint::PORT_IN_USE),
        StartFailed::Proxy(_) => failure.hint(hint::SEE_PROXY_LOG),
        StartFailed::Api(_) => failure.hint(hint::SECOND_CONTROLLER),
        StartFailed::Folder { .. } | StartFailed::Driver(_) | StartFailed::Artefacts(_) => {
            failure.hint(hint::NAME_STATE)
        }
        StartFailed::NotOwn(_) => failure.hint(hint::OWN_STATE),
        StartFailed::Signals(_) => failure,
    }
}
