//! Answers: JSON, and the one place that turns what failed into an HTTP answer.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use gapless_fleet::TakeError;
use gapless_model::ServiceName;
use gapless_rollout::Refusal;
use gapless_wire::api::{ErrorBody, ErrorCode};

/// What failed.
#[derive(Debug)]
pub struct Failed(pub ErrorBody);

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, Json(self.0)).into_response()
    }
}

impl From<ErrorBody> for Failed {
    fn from(body: ErrorBody) -> Failed {
        Failed(body)
    }
}

impl From<TakeError> for Failed {
    fn from(error: TakeError) -> Failed {
        let body = match &error {
            TakeError::Refused(reason) => return Failed(refused(reason)),
            TakeError::Full(source) => ErrorBody::new(ErrorCode::NotActing, "the order could not be written down")
                .because(source)
                .hint("make room on the disk that holds the state folder, then give the order again"),
            TakeError::Journal(source) => ErrorBody::new(
                ErrorCode::NotActing,
                "the controller does not act any more; traffic goes on",
            )
            .because(source)
            .hint(
                "`gapless status` says why. When the disk can be written again the controller ends by itself, for its supervisor to start it; \
                 without one start `gapless up` again",
            ),
        };
        Failed(body)
    }
}

fn refused(reason: &Refusal) -> ErrorBody {
    let (code, hint) = match reason {
        Refusal::RolloutRunning { .. } => {
            (ErrorCode::Busy, "wait for it (`gapless status -w`), or end it with `gapless abort`")
        }
        Refusal::GoesBackElsewhere { .. } => {
            (ErrorCode::Busy, "end it with `gapless rollback` without --to, then go back further")
        }
        Refusal::NoWayBack { .. } => (
            ErrorCode::Refused,
            "wait for its end (`gapless status -w`), then order the opposite: `gapless start`, or `gapless scale` with the number before",
        ),
        Refusal::NothingDeployed => (ErrorCode::Refused, "`gapless deploy` makes the first release"),
        Refusal::Stopped => (ErrorCode::Refused, "`gapless start` starts it; a deploy starts it with the new release"),
        Refusal::NotStopped => (ErrorCode::Refused, "`gapless restart` replaces its instances by fresh ones"),
        Refusal::Undecided(_) => {
            (ErrorCode::Busy, "`gapless explain` says what is left; `gapless rollback` tries once more to put it back")
        }
        Refusal::NoInstance => (ErrorCode::Refused, "`gapless stop` ends every instance and keeps the release"),
        Refusal::AlreadyDeployed(_) => (ErrorCode::Refused, "`gapless releases` lists what is deployed"),
        Refusal::NoRollout => (ErrorCode::Refused, "`gapless status` shows what is running"),
        Refusal::NothingToPromote { .. } => (ErrorCode::Refused, "`gapless explain` shows what the rollout waits for"),
        Refusal::RollingBack(_) => (ErrorCode::Refused, "`gapless status -w` follows it"),
        Refusal::NoEarlierRelease | Refusal::ReleaseNotKept(_) => (
            ErrorCode::Refused,
            "`gapless releases` lists the releases that are kept; others have to be deployed again",
        ),
        Refusal::FloorForbidsInPlace { .. } => {
            (ErrorCode::Refused, "set `order = \"surge-first\"`, more instances, or a lower `floor` in gapless.toml")
        }
        Refusal::OtherService { .. } | Refusal::OtherContent(_) | Refusal::RolloutNumberUsed { .. } => {
            (ErrorCode::Refused, "give the order again; if it is refused again, this is a bug")
        }
    };
    ErrorBody::new(code, "the order is refused").because(reason).hint(hint)
}

/// A service name from a path.
pub fn service_name(text: &str) -> Result<ServiceName, Failed> {
    ServiceName::new(text).map_err(|error| {
        let shown: String = text.chars().take(80).collect();
        ErrorBody::new(ErrorCode::BadRequest, format!("{shown:?} is not a service name")).because(&error).into()
    })
}

/// There is no such service.
pub fn no_service(name: &ServiceName) -> Failed {
    ErrorBody::new(ErrorCode::NotFound, format!("there is no service {name}"))
        .hint("`gapless status` lists the services; `gapless deploy` makes a new one")
        .into()
}
