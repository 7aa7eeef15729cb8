//! From a request to a journalled order: the configuration read, the artefact taken in, the release registered.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use gapless_drivers::artefact::{ArtefactError, EntryRefused, Taken, foreign_interpreter};
use gapless_model::{Digest, Release, ReleaseId, ReleaseLabel, ReleaseSpec, ServiceName, Tick};
use gapless_rollout::{DeployOrder, Input};
use gapless_wire::api::{self, DeployRequest, ErrorBody, ErrorCode, OrderAccepted, PlanAnswer, PlanRequest};
use gapless_wire::config::{parse_service_config, routes_taken};
use gapless_wire::record::ReleaseRecord;

use crate::proxies;
use crate::shared::Shared;
use gapless_fleet::ledger::Counted;
use gapless_fleet::{Accepted, Decided, Fleet, KnownRelease, Moment, ServiceEntry, TakeError};

/// Why an order was not taken.
#[derive(Debug)]
pub enum DeployFailed {
    /// The request or what it names is refused.
    Refused(Box<ErrorBody>),
    /// The core did not take it.
    Take(TakeError),
}

impl From<ErrorBody> for DeployFailed {
    fn from(body: ErrorBody) -> DeployFailed {
        DeployFailed::Refused(Box::new(body))
    }
}

impl From<DeployFailed> for crate::api::Failed {
    fn from(failed: DeployFailed) -> Self {
        match failed {
            DeployFailed::Refused(body) => crate::api::Failed(*body),
            DeployFailed::Take(error) => error.into(),
        }
    }
}

/// Deploys: answers when the release is unpacked and the order durable.
///
/// # Errors
/// [`DeployFailed`]; nothing has changed then but, perhaps, an artefact that nothing refers to.
pub async fn deploy(
    shared: &Arc<Shared>,
    name: &ServiceName,
    request: DeployRequest,
) -> Result<OrderAccepted, DeployFailed> {
    let spec = read_spec(name, &request.config, &request.config_name)?;
    let label = read_label(&request.label)?;
    shared.check_deciding().map_err(DeployFailed::Take)?;
    refuse_early(&shared.core(), name, (&label, &spec, &request.config), shared.now())?;
    let source = Path::new(&request.from).to_owned();
    if !source.is_absolute() {
        let body =
            ErrorBody::new(ErrorCode::BadRequest, format!("the artefact {:?} is not an absolute path", request.from));
        return Err(body.into());
    }
    let _kept = shared.artefact_gate.read().await;
    let (artefacts, service) = (shared.artefacts.clone(), name.clone());
    let taken = tokio::task::spawn_blocking(move || artefacts.take(&service, &source)).await.map_err(|error| {
        ErrorBody::new(ErrorCode::Internal, "taking the artefact in ended by itself").because(&error)
    })?;
    let taken = taken.map_err(|error| refused_artefact(&request.from, &error))?;
    refuse_foreign_interpreter(&taken, &spec)?;
    let counted = proxies::counts_before(shared).await;
    let mut accepted = None;
    shared
        .act(|core, at| {
            let candidate = Candidate { label: &label, spec: &spec, taken: &taken, request: &request, counted };
            let (orders, order) = register(core, name, candidate, at)?;
            accepted = Some(order);
            Ok(orders)
        })
        .map_err(DeployFailed::Take)?;
    match accepted {
        Some(Ok(accepted)) => Ok(accepted),
        Some(Err(body)) => Err(body.into()),
        None => Err(ErrorBody::new(ErrorCode::Internal, "BUG: the order has no answer").into()),
    }
}

/// What a deploy would do.
///
/// # Errors
/// As [`deploy`] would refuse it.
pub fn plan(shared: &Shared, request: &PlanRequest) -> Result<PlanAnswer, DeployFailed> {
    let spec =
        parse_service_config(&request.config, &request.config_name).map_err(|errors| ErrorBody::from(&errors))?;
    let label = read_label(&request.label)?;
    let core = shared.core();
    refuse_taken_routes(&core, &spec)?;
    let name = spec.service.clone();
    let (state, id) = match core.service(&name) {
        Some(tended) => (tended.state.clone(), next_release(&tended.releases)),
        None => (gapless_rollout::Service::new(name.clone()), ReleaseId(1)),
    };
    let source = request.from.as_deref().map(Path::new).filter(|source| source.is_absolute() && source.is_dir());
    let problems = gapless_drivers::keeper::problems(&spec.run, source);
    let release = Release { id, label, digest: Digest([0; 32]), spec };
    match gapless_rollout::plan(&state, &release, None) {
        Ok(plan) => Ok(PlanAnswer { problems, ..api::plan_answer(&name, &plan) }),
        Err(reason) => Err(DeployFailed::Take(TakeError::Refused(reason))),
    }
}

type Registered = (Vec<Decided>, Result<OrderAccepted, ErrorBody>);

/// What is to be registered and deployed.
struct Candidate<'a> {
    label: &'a ReleaseLabel,
    spec: &'a ReleaseSpec,
    taken: &'a Taken,
    request: &'a DeployRequest,
    /// From when on the receipt counts.
    counted: Counted,
}

/// Registers the release and gives the order, in one transaction.
fn register<S: gapless_journal::Store>(
    core: &mut Fleet<S>,
    name: &ServiceName,
    candidate: Candidate<'_>,
    at: Moment,
) -> Result<Registered, TakeError> {
    let Candidate { label, spec, taken, request, counted } = candidate;
    let digest = taken.digest;
    let refused = |body| Ok((Vec::new(), Err(body)));
    if let Err(DeployFailed::Refused(body)) = refuse_taken_routes(core, spec) {
        return refused(*body);
    }
    let tended = core.entry(name);
    if let Err(body) =
        refuse_taken_label(tended, name, label, &Content { config: &request.config, digest: Some(digest) })
    {
        return refused(body);
    }
    let id = next_release(&tended.releases);
    let rollout = tended.state.last_rollout().next();
    let record = ReleaseRecord {
        id: id.0,
        label: label.to_string(),
        digest: digest.to_string(),
        config: request.config.clone(),
        registered_wall_ms: at.wall_ms,
        bytes: Some(taken.bytes),
    };
    let release = Arc::new(Release { id, label: label.clone(), digest, spec: spec.clone() });
    let origin = crate::api::origin(&request.by, &request.reason);
    let order = DeployOrder { rollout, release, strategy: None, origin };
    let Accepted { placed, taken } = core.deploy(order, record, counted, at)?;
    let mut accepted = crate::api::accepted(name, &placed, Some(label));
    let previewed = matches!(spec.strategy, gapless_model::Strategy::BlueGreen { .. });
    let token = core.preview_token_of(name, rollout).filter(|_| previewed);
    accepted.preview = token.map(|token| token.header(label));
    Ok((taken, Ok(accepted)))
}

/// What would be refused is refused before its artefact is unpacked. Asked is the machine itself, with a release whose content is not known yet: no
/// order is refused for its content.
fn refuse_early<S: gapless_journal::Store>(
    core: &Fleet<S>,
    name: &ServiceName,
    (label, spec, config): (&ReleaseLabel, &ReleaseSpec, &str),
    now: Tick,
) -> Result<(), DeployFailed> {
    refuse_taken_routes(core, spec)?;
    let (state, id) = match core.service(name) {
        Some(tended) => {
            refuse_taken_label(tended, name, label, &Content { config, digest: None })?;
            (tended.state.clone(), next_release(&tended.releases))
        }
        None => (gapless_rollout::Service::new(name.clone()), ReleaseId(1)),
    };
    let release = Release { id, label: label.clone(), digest: Digest([0; 32]), spec: spec.clone() };
    let rollout = state.last_rollout().next();
    let origin = gapless_rollout::Origin::default();
    let order = DeployOrder { rollout, release: Arc::new(release), strategy: None, origin };
    match gapless_rollout::step(state, Input::DeployOrdered(order), now) {
        Ok(_) => Ok(()),
        Err(refused) => Err(DeployFailed::Take(TakeError::Refused(refused.reason))),
    }
}

/// What a release is made of, as far as it is known.
struct Content<'a> {
    config: &'a str,
    /// Not known before the artefact is taken in.
    digest: Option<Digest>,
}

/// A label names one content for as long as a release with it is kept. The same content may be deployed again, unless it serves or is on its way:
/// a pipeline that tries once more gives the label that it gave before.
fn refuse_taken_label(
    tended: &ServiceEntry,
    name: &ServiceName,
    label: &ReleaseLabel,
    content: &Content<'_>,
) -> Result<(), ErrorBody> {
    let Some(known) = tended.kept_with_label(label.as_str()) else { return Ok(()) };
    let state = &tended.state;
    let in_use = [state.current(), state.candidate()].into_iter().flatten().any(|release| release.label == *label);
    let waits = state.queued() == Some(known.release.id);
    let same =
        known.record.config == content.config && content.digest.is_none_or(|digest| known.release.digest == digest);
    if same && !in_use && !waits {
        return Ok(());
    }
    let error = format!("release {label} of {name} is registered already, as release {}", known.release.id);
    let current = tended.state.current().is_some_and(|current| current.id == known.release.id);
    let hint = match current {
        true => {
            "it is the current release: `gapless restart` replaces its instances by fresh ones; give a new one a label of its own"
        }
        false => {
            "to put it back into service, use `gapless rollback SERVICE --to LABEL`; give a new one a label of its own"
        }
    };
    Err(ErrorBody::new(ErrorCode::LabelTaken, error).hint(hint))
}

/// The number of the next release.
pub fn next_release(releases: &BTreeMap<ReleaseId, KnownRelease>) -> ReleaseId {
    releases.last_key_value().map_or(ReleaseId(1), |(id, _)| id.next())
}

fn read_spec(name: &ServiceName, config: &str, config_name: &str) -> Result<ReleaseSpec, ErrorBody> {
    let spec = parse_service_config(config, config_name).map_err(|errors| ErrorBody::from(&errors))?;
    if spec.service != *name {
        let error = format!("{config_name} is the configuration of service {}, not of {name}", spec.service);
        let hint = format!("say `gapless deploy {}`, or change `service` in {config_name}", spec.service);
        return Err(ErrorBody::new(ErrorCode::ConfigInvalid, error).hint(hint));
    }
    Ok(spec)
}

fn read_label(label: &str) -> Result<ReleaseLabel, ErrorBody> {
    ReleaseLabel::new(label).map_err(|error| {
        let shown: String = label.chars().take(80).collect();
        ErrorBody::new(ErrorCode::BadRequest, format!("{shown:?} is not a label of a release"))
            .because(&error)
            .hint("such as --label 1.4.0")
    })
}

fn refuse_taken_routes<S: gapless_journal::Store>(core: &Fleet<S>, spec: &ReleaseSpec) -> Result<(), DeployFailed> {
    let mut others = Vec::new();
    for (name, tended) in core.services() {
        for release in [tended.state.current(), tended.state.candidate()].into_iter().flatten() {
            others.push((name, release.spec.routes.as_slice()));
        }
    }
    let taken = routes_taken(&spec.service, &spec.routes, others.into_iter());
    let Some(first) = taken.first() else { return Ok(()) };
    let error = format!("the route {}{} belongs to service {}", first.route.host, first.route.path, first.by);
    let body = ErrorBody::new(ErrorCode::RouteTaken, error)
        .hint("give this service another `host` or a longer `path` under [[route]] in its gapless.toml");
    Err(body.into())
}

fn refused_artefact(from: &str, error: &ArtefactError) -> ErrorBody {
    let shown: String = from.chars().take(400).collect();
    let body = ErrorBody::new(ErrorCode::ArtefactRefused, format!("the artefact {shown} is refused")).because(error);
    match artefact_hint(error) {
        Some(hint) => body.hint(hint),
        None => body,
    }
}

/// A program of a Python virtual environment that would run the environment of the folder it was installed in, not the release's own.
fn refuse_foreign_interpreter(taken: &Taken, spec: &ReleaseSpec) -> Result<(), ErrorBody> {
    let Some(foreign) = foreign_interpreter(&taken.folder, &spec.run.folder, &spec.run.command) else { return Ok(()) };
    let program = spec.run.command.first().map_or("", String::as_str);
    let error =
        format!("{program} would run {}, the virtual environment of another folder", foreign.interpreter.display());
    let instead: Vec<String> = foreign.instead.iter().map(|word| format!("{word:?}")).collect();
    let hint = format!("the release's own is used by command = [{}]", instead.join(", "));
    Err(ErrorBody::new(ErrorCode::ArtefactRefused, error).hint(hint))
}

fn artefact_hint(error: &ArtefactError) -> Option<&'static str> {
    match error {
        ArtefactError::Entry { why: EntryRefused::LinkLeaves, .. } => Some(
            "a release may not depend on what lies outside it: release a folder without the link (--from), or an archive \
             that leaves it out (.gaplessignore)",
        ),
        ArtefactError::Entry { why: EntryRefused::InterpreterMissing, .. } => Some(
            "install that Python, or make the virtual environment anew with one that this machine has (python3 -m venv)",
        ),
        ArtefactError::Empty { .. } => Some("if it is not empty, the .gaplessignore in it leaves everything out"),
        ArtefactError::Ignore { .. } => {
            Some("it is written like a .gitignore; a line that begins with `#` is a comment")
        }
        ArtefactError::Read { .. } | ArtefactError::Unknown { .. } => {
            Some("--from names a folder or a .tar.gz, .tar.zst, .tar or .zip file that the controller's user may read")
        }
        ArtefactError::Damaged { .. } => Some("make or copy the archive again"),
        ArtefactError::NoSpace { .. } => {
            Some("make room on the disk that holds the state folder, or lower `releases_kept`")
        }
        ArtefactError::Entry { .. }
        | ArtefactError::TooLarge { .. }
        | ArtefactError::TooMany { .. }
        | ArtefactError::HoldsState { .. }
        | ArtefactError::Changed { .. }
        | ArtefactError::Write { .. } => None,
    }
}
