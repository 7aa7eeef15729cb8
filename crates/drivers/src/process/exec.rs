//! Commands beside an instance.

use gapless_model::InstanceId;
use gapless_probe::{CommandOrder, CommandUser, execute};

use crate::driver::{DriverError, ExecDone, ExecOrder};
use crate::keeper::Spec;
use crate::sys;

/// Runs a command as the instance of this spec runs: in its folder, with its environment, as its user.
pub(super) async fn exec(spec: &Spec, instance: &InstanceId, order: ExecOrder) -> Result<ExecDone, DriverError> {
    let failed = |reason: String| DriverError::Exec { instance: instance.clone(), reason };
    let environment = match &spec.sources {
        Some(sources) => sources.complete(spec.environment.clone(), &spec.folder).await,
        None => Ok(spec.environment.clone()),
    };
    let environment = environment.map_err(|error| failed(gapless_wire::api::in_one_line(&error)))?;
    let command = CommandOrder {
        argv: order.argv,
        environment,
        folder: Some(spec.folder.join(&spec.working_folder)),
        user: spec.user.as_deref().map(user).transpose().map_err(&failed)?.flatten(),
    };
    match tokio::time::timeout(order.timeout.to_duration(), execute(&command)).await {
        Ok(Ok(ended)) => {
            Ok(ExecDone { code: ended.status.code(), stdout: text(&ended.stdout), stderr: text(&ended.stderr) })
        }
        Ok(Err(reason)) => Err(failed(reason)),
        Err(_) => Err(failed(format!("it took longer than {}", order.timeout))),
    }
}

/// Whom to become; none when that is who we are. The keeper has started an instance as this user, so that it exists.
fn user(name: &str) -> Result<Option<CommandUser>, String> {
    let user = sys::user(name)
        .map_err(|error| format!("cannot look up user {name:?}: {error}"))?
        .ok_or_else(|| format!("there is no user {name:?}"))?;
    let own = rustix::process::geteuid().as_raw();
    Ok((own != user.uid).then_some(CommandUser { uid: user.uid, gid: user.gid }))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
