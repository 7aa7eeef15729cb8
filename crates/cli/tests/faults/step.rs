//! The words of which cases are made.

use crate::disk::Kind;

/// Who can be killed or frozen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    Controller,
    Proxy,
    /// The keeper of the first instance.
    Keeper,
    OtherKeeper,
    /// The first instance in load.
    Instance,
    OtherInstance,
}

/// What is done to the disk that holds the state folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disk {
    Fill,
    Empty,
    /// It fails, and is read-only from then on.
    Fail,
}

/// What is done to the system calls of the controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Calls {
    /// Each fsync of the journal takes long.
    SlowSync,
    /// Each fsync of the journal fails with EIO.
    FailSync,
    /// Each write to the journal fails with EIO.
    FailWrites,
    /// Each write to the journal fails with ENOSPC.
    NoRoom,
    /// All is as it should be.
    Heal,
}

/// What is done to the journal's files while no controller runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Surgery {
    /// All of them are copied aside, as the good ones.
    Copy,
    /// The copy is put back.
    PutBack,
    /// The end of the database is cut off.
    Cut,
    /// A bit is another in every place that names the service: a page that is not used may hold anything.
    Flip,
    /// The database is a file of no bytes.
    EmptyFile,
    /// Database, log and witness are gone.
    Remove,
    /// The write-ahead log is gone.
    RemoveLog,
    /// The last page of the write-ahead log is gone.
    CutLog,
    /// The witness is gone.
    RemoveWitness,
    /// The witness holds something else.
    DamageWitness,
}

/// One step of a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A machine comes up, a release is deployed, load begins.
    Serve,
    /// The load ends here, and the promise is about what was until now.
    EndLoad,
    /// Every process ends at once, the disk is repaired, and `gapless up` is started, as after a crash of the machine.
    RestartMachine,
    Disk(Disk),
    Bend(Calls),
    Journal(Surgery),
    /// SIGKILL, to all of them at once.
    Kill(Vec<Who>),
    Freeze(Who),
    Thaw(Who),
    /// SIGTERM and the end of the controller.
    StopController,
    StartController,
    /// `gapless up` ends by itself, with an error and a hint.
    ControllerRefuses,
    /// The controller has ended by itself, saying why.
    ControllerEnds,
    /// The controller is there, decides nothing any more, and `gapless status` says why and fails.
    Standstill,
    /// Another proxy than the one of the begin answers requests.
    ProxyReplaced,
    /// A deploy that ends well.
    Deploy,
    /// A deploy that is refused with an error and its reason; the release before it is current.
    DeployRefused,
    /// A deploy is ordered and not waited for.
    DeployBegins,
    /// The rollout that was begun is not over.
    DeployGoesOn,
    /// The rollout that was begun ends well.
    DeployEnds,
    /// All instances are ready, in load and alive, and the proxy uses the table it should.
    Ready,
    /// Another instance has taken the place of this one.
    Replaced(Who),
    /// So many requests later.
    Later(u64),
    /// A verb of the program that has to end well, such as `backup FILE`; `FILE` is a path outside of the state folder.
    Run(Vec<String>),
}

impl Step {
    /// Reads one step.
    pub fn parse(text: &str) -> Result<Self, String> {
        let fixed = match text {
            "serve" => Self::Serve,
            "fill the disk" => Self::Disk(Disk::Fill),
            "empty the disk" => Self::Disk(Disk::Empty),
            "fail the disk" => Self::Disk(Disk::Fail),
            "restart the machine" => Self::RestartMachine,
            "end the load" => Self::EndLoad,
            "slow the sync" => Self::Bend(Calls::SlowSync),
            "fail the sync" => Self::Bend(Calls::FailSync),
            "fail the writes" => Self::Bend(Calls::FailWrites),
            "leave the journal no room" => Self::Bend(Calls::NoRoom),
            "heal the calls" => Self::Bend(Calls::Heal),
            "copy the journal" => Self::Journal(Surgery::Copy),
            "put the copy back" => Self::Journal(Surgery::PutBack),
            "cut the journal" => Self::Journal(Surgery::Cut),
            "flip bits of the journal" => Self::Journal(Surgery::Flip),
            "empty the journal" => Self::Journal(Surgery::EmptyFile),
            "remove the journal" => Self::Journal(Surgery::Remove),
            "remove the write-ahead log" => Self::Journal(Surgery::RemoveLog),
            "cut the write-ahead log" => Self::Journal(Surgery::CutLog),
            "remove the witness" => Self::Journal(Surgery::RemoveWitness),
            "damage the witness" => Self::Journal(Surgery::DamageWitness),
            "stop the controller" => Self::StopController,
            "start the controller" => Self::StartController,
            "the controller refuses to start" => Self::ControllerRefuses,
            "the controller ends" => Self::ControllerEnds,
            "nothing is decided" => Self::Standstill,
            "another proxy serves" => Self::ProxyReplaced,
            "deploy" => Self::Deploy,
            "a deploy is refused" => Self::DeployRefused,
            "a deploy begins" => Self::DeployBegins,
            "it goes on" => Self::DeployGoesOn,
            "it ends well" => Self::DeployEnds,
            "all is ready" => Self::Ready,
            _ => return Self::parse_open(text),
        };
        Ok(fixed)
    }

    /// The steps that name something.
    fn parse_open(text: &str) -> Result<Self, String> {
        let unknown = || format!("no step: {text}");
        if let Some(names) = text.strip_prefix("kill the ") {
            return names.split(" and the ").map(Who::parse).collect::<Option<_>>().map(Self::Kill).ok_or_else(unknown);
        }
        if let Some(name) = text.strip_prefix("freeze the ") {
            return Who::parse(name).map(Self::Freeze).ok_or_else(unknown);
        }
        if let Some(name) = text.strip_prefix("thaw the ") {
            return Who::parse(name).map(Self::Thaw).ok_or_else(unknown);
        }
        if let Some(name) = text.strip_prefix("the ").and_then(|text| text.strip_suffix(" is replaced")) {
            return Who::parse(name).map(Self::Replaced).ok_or_else(unknown);
        }
        if let Some(words) = text.strip_prefix("gapless ") {
            return Ok(Self::Run(words.split(' ').map(str::to_owned).collect()));
        }
        let later = text.strip_suffix(" requests later").and_then(|count| count.parse().ok());
        later.map(Self::Later).ok_or_else(unknown)
    }

    /// The disk of its own that the case needs.
    pub fn disk(&self) -> Option<Kind> {
        match self {
            Self::Disk(Disk::Fill | Disk::Empty) => Some(Kind::Fills),
            Self::Disk(Disk::Fail) => Some(Kind::Fails),
            _ => None,
        }
    }

    /// Whether the case needs the system calls of the controller to be bent.
    pub fn needs_shim(&self) -> bool {
        matches!(self, Self::Bend(_))
    }

    /// Whether it breaks an instance: then the load is of the kind that may be sent again, and executed twice. A keeper is none: its
    /// instance serves on.
    pub fn breaks_an_instance(&self) -> bool {
        let breaks = |who: &Who| matches!(who, Who::Instance | Who::OtherInstance);
        match self {
            Self::Kill(all) => all.iter().any(breaks),
            Self::Freeze(who) => breaks(who),
            _ => false,
        }
    }

    /// Whether it freezes an instance: then an answer is waited for only so long.
    pub fn freezes_an_instance(&self) -> bool {
        matches!(self, Self::Freeze(Who::Instance | Who::OtherInstance))
    }

    /// Whether it begins the fault.
    pub fn is_fault(&self) -> bool {
        matches!(self, Self::Kill(_) | Self::Freeze(_) | Self::Disk(_) | Self::Bend(_) | Self::Journal(_))
    }
}

impl Who {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "controller" => Self::Controller,
            "proxy" => Self::Proxy,
            "keeper" => Self::Keeper,
            "other keeper" => Self::OtherKeeper,
            "instance" => Self::Instance,
            "other instance" => Self::OtherInstance,
            _ => return None,
        })
    }
}
