//! Errors as the API gives them.

use std::error::Error;

use serde::{Deserialize, Serialize};

use crate::config::ConfigErrors;

/// Why a request was not done: the three parts that the command line prints.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ErrorBody {
    /// What failed, and where.
    pub error: String,
    /// Why, outermost first.
    #[serde(default)]
    pub caused_by: Vec<String>,
    /// What mends it.
    #[serde(default)]
    pub hint: Option<String>,
    /// What kind of error it is, for programs.
    pub code: ErrorCode,
    /// Further errors of the same request: a configuration file names all its faults.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<ErrorBody>,
}

/// What kind of error it is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorCode {
    /// The request is not what the route takes.
    BadRequest,
    /// There is no such service, release, rollout or route.
    NotFound,
    /// The configuration has faults.
    ConfigInvalid,
    /// A route belongs to another service.
    RouteTaken,
    /// The artefact is unreadable or unsafe, or does not fit the disk.
    ArtefactRefused,
    /// The label was used by another release of the service, with another content.
    LabelTaken,
    /// A rollout is running, and policy refuses a second order.
    Busy,
    /// The order makes no sense now: nothing to abort, nothing to go back to.
    Refused,
    /// The controller does not act: its journal is damaged or cannot be written. Traffic goes on.
    NotActing,
    /// Something failed within the controller or the machine.
    Internal,
    /// A code of a newer controller.
    #[serde(other)]
    Other,
}

impl ErrorCode {
    /// Its HTTP status: the one place that maps errors to answers.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            ErrorCode::BadRequest => 400,
            ErrorCode::NotFound => 404,
            ErrorCode::ConfigInvalid | ErrorCode::ArtefactRefused => 422,
            ErrorCode::RouteTaken | ErrorCode::LabelTaken | ErrorCode::Busy | ErrorCode::Refused => 409,
            ErrorCode::NotActing => 503,
            ErrorCode::Internal | ErrorCode::Other => 500,
        }
    }

    /// Whether the order was refused before anything changed, which the command line tells by an exit code of its own.
    #[must_use]
    pub fn is_refusal(self) -> bool {
        match self {
            ErrorCode::ConfigInvalid
            | ErrorCode::RouteTaken
            | ErrorCode::ArtefactRefused
            | ErrorCode::LabelTaken
            | ErrorCode::Busy
            | ErrorCode::Refused => true,
            ErrorCode::BadRequest
            | ErrorCode::NotFound
            | ErrorCode::NotActing
            | ErrorCode::Internal
            | ErrorCode::Other => false,
        }
    }
}

impl ErrorBody {
    /// An error without cause and hint.
    #[must_use]
    pub fn new(code: ErrorCode, error: impl Into<String>) -> ErrorBody {
        ErrorBody { error: error.into(), caused_by: Vec::new(), hint: None, code, also: Vec::new() }
    }

    /// The same with an error and all its sources as causes.
    #[must_use]
    pub fn because(mut self, error: &dyn Error) -> ErrorBody {
        self.caused_by.extend(causes(error));
        self
    }

    /// The same with a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> ErrorBody {
        self.hint = Some(hint.into());
        self
    }
}

/// An error and all its sources, outermost first, in their own words.
pub fn causes(error: &dyn Error) -> impl Iterator<Item = String> {
    std::iter::successors(Some(error), |&error| error.source()).map(ToString::to_string)
}

/// An error and all its sources in one line, as logs and reasons have them: `cannot start: no such file`.
#[must_use]
pub fn in_one_line(error: &dyn Error) -> String {
    causes(error).collect::<Vec<_>>().join(": ")
}

impl From<&ConfigErrors> for ErrorBody {
    fn from(errors: &ConfigErrors) -> ErrorBody {
        let mut bodies = errors.0.iter().map(|error| ErrorBody {
            error: error.to_string(),
            caused_by: error.caused_by.iter().cloned().collect(),
            hint: error.hint.clone(),
            code: ErrorCode::ConfigInvalid,
            also: Vec::new(),
        });
        let first = bodies.next();
        let also = bodies.collect();
        match first {
            Some(first) => ErrorBody { also, ..first },
            None => ErrorBody::new(ErrorCode::ConfigInvalid, "the configuration is refused"),
        }
    }
}
