//! The command line: verbs, and the flags that all of them have.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::{Failure, StateFolder, verb};

/// Releases without downtime: the load balancer in front of a service and the orchestrator behind it.
#[derive(Parser, Debug)]
#[command(name = "gapless", version, disable_help_subcommand = true, max_term_width = 100)]
#[command(
    after_help = "First steps: `gapless demo` shows it all on this machine; `gapless init`, `gapless up` and `gapless deploy` do it with your service."
)]
pub struct Arguments {
    /// Folder of the controller's journal, releases, logs and sockets [default: /var/lib/gapless for root, else $XDG_STATE_HOME/gapless]
    #[arg(long, value_name = "DIR", env = "GAPLESS_STATE", hide_env_values = true, global = true)]
    pub state: Option<PathBuf>,
    /// Print data for programs: one JSON object, or one per line where there are many
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do
    #[command(subcommand)]
    pub verb: Verb,
}

/// What every verb is given besides its own arguments.
#[derive(Clone, Debug)]
pub struct Context {
    /// Where the controller's state is.
    pub state: StateFolder,
    /// Data for programs instead of for people.
    pub json: bool,
}

impl Arguments {
    /// What the flags that every verb has say.
    ///
    /// # Errors
    /// When no state folder can be found.
    pub fn context(&self) -> Result<Context, Failure> {
        Ok(Context { state: StateFolder::resolve(self.state.as_deref())?, json: self.json })
    }
}

/// What can be asked of the program.
#[derive(Subcommand, Debug)]
pub enum Verb {
    /// Start the controller and the proxy on this machine
    Up(verb::up::Args),
    /// End everything that `up` started: drain the proxy, stop the instances
    Down(verb::down::Args),
    /// Write a commented gapless.toml for the code in a folder
    Init(verb::init::Args),
    /// Replace the current release of a service by a new one
    Deploy(verb::deploy::Args),
    /// Show the phases of a rollout before it runs
    Plan(verb::plan::Args),
    /// Show services, releases, instances and proxies
    Status(verb::status::Args),
    /// List what happened: rollouts, lost instances, crash loops
    Events(verb::events::Args),
    /// Say what a service waits for, since when, and what happens next
    Explain(verb::explain::Args),
    /// Go back to the release before the current one, or to a named one
    Rollback(verb::rollback::Args),
    /// End the running rollout and go back
    Abort(verb::abort::Args),
    /// End the observation that runs: vouch for the candidate
    Promote(verb::promote::Args),
    /// Replace every instance of the current release by a fresh one, batch by batch
    Restart(verb::restart::Args),
    /// Give the current release another number of instances
    Scale(verb::scale::Args),
    /// Take a service out of load and end its instances; requests are refused until it is started
    Stop(verb::stop::Args),
    /// Start a service that was stopped
    Start(verb::start::Args),
    /// Take a service away for good: its routes, its instances, its releases
    Remove(verb::remove::Args),
    /// List the instances of all services
    Ps(verb::ps::Args),
    /// List the rollouts of a service
    History(verb::history::Args),
    /// List the releases of a service
    Releases(verb::releases::Args),
    /// Print or follow what the instances of a service write
    Logs(verb::logs::Args),
    /// Show what a rollout cost its clients, counted
    Receipt(verb::receipt::Args),
    /// Compare a candidate with the current release
    Judge(verb::judge::Args),
    /// Show it all on this machine, under load, in a minute
    Demo(verb::demo::Args),
    /// Write a copy of the journal to a file, while the controller runs
    Backup(verb::backup::Args),
    /// Put a copy of the journal back in its place, while no controller runs
    Restore(verb::restore::Args),
    /// Rebuild a lost or damaged journal from what runs, while no controller runs
    Recover(verb::recover::Args),
    /// Run the controller under systemd
    Service(verb::service::Args),
    /// Explain the configuration files, the exit codes or a verb
    Help(verb::help::Args),
    /// Print the completions for a shell
    Completions(verb::completions::Args),
    /// The data plane: started by the controller
    #[command(hide = true)]
    Proxy(verb::proxy::Args),
    /// The parent of one instance: started by the controller
    #[command(hide = true)]
    Keeper(verb::keeper::Args),
    /// A small service to try things with: started by the demo and the tests
    #[command(hide = true)]
    SampleService(verb::sample_service::Args),
}
