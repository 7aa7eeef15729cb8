//! The verbs, one file each: its arguments, and `run`. Beside them what several share: `candidate`, `look`, `order`.

pub mod abort;
mod adjust;
pub mod backup;
mod candidate;
pub mod completions;
pub mod demo;
pub mod deploy;
pub mod down;
pub mod events;
pub mod explain;
pub mod help;
pub mod history;
pub mod init;
pub mod judge;
pub mod keeper;
mod known;
pub mod logs;
pub mod logs_diff;
mod look;
mod order;
pub mod plan;
pub mod promote;
pub mod proxy;
pub mod ps;
pub mod receipt;
pub mod recover;
pub mod releases;
pub mod remove;
pub mod restart;
pub mod restore;
pub mod rollback;
pub mod sample_service;
pub mod scale;
pub mod service;
pub mod start;
pub mod status;
pub mod stop;
pub mod up;

use crate::{Context, Exit, Failure, Verb};

/// Runs a verb.
///
/// # Errors
/// Whatever the verb fails with.
pub fn run(verb: Verb, context: &Context) -> Result<Exit, Failure> {
    match verb {
        Verb::Up(args) => up::run(&args, context),
        Verb::Down(args) => down::run(&args, context),
        Verb::Init(args) => init::run(&args, context),
        Verb::Deploy(args) => deploy::run(&args, context),
        Verb::Plan(args) => plan::run(&args, context),
        Verb::Status(args) => status::run(&args, context),
        Verb::Events(args) => events::run(&args, context),
        Verb::Explain(args) => explain::run(&args, context),
        Verb::Rollback(args) => rollback::run(&args, context),
        Verb::Abort(args) => abort::run(&args, context),
        Verb::Promote(args) => promote::run(&args, context),
        Verb::Restart(args) => restart::run(&args, context),
        Verb::Scale(args) => scale::run(&args, context),
        Verb::Stop(args) => stop::run(&args, context),
        Verb::Start(args) => start::run(&args, context),
        Verb::Remove(args) => remove::run(&args, context),
        Verb::Ps(args) => ps::run(&args, context),
        Verb::History(args) => history::run(&args, context),
        Verb::Releases(args) => releases::run(&args, context),
        Verb::Logs(args) => logs::run(&args, context),
        Verb::Receipt(args) => receipt::run(&args, context),
        Verb::Judge(args) => judge::run(&args, context),
        Verb::Demo(args) => demo::run(&args, context),
        Verb::Backup(args) => backup::run(&args, context),
        Verb::Restore(args) => restore::run(&args, context),
        Verb::Recover(args) => recover::run(&args, context),
        Verb::Help(args) => help::run(&args, context),
        Verb::Completions(args) => completions::run(&args, context),
        Verb::Proxy(args) => proxy::run(&args, context),
        Verb::Keeper(args) => keeper::run(&args, context),
        Verb::Service(args) => service::run(&args, context),
        Verb::SampleService(args) => sample_service::run(&args, context),
    }
}
