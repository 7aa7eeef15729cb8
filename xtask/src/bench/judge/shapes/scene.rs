//! What a shape does to a service: drawn once for a rollout, then asked second by second.

use super::draw::Draw;

/// Seconds of the time before the rollout.
pub const BEFORE_S: i32 = 3_600;

/// Seconds of the rollout.
pub const ROLLOUT_S: i32 = 3_600;

/// Everyday things that happen to healthy releases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Errors one by one.
    Plain,
    /// A dependency fails for every instance, but begins and ends up to 5 s apart.
    SkewedOutage,
    /// Twenty to a hundred errors at once on one instance, twice an hour.
    Bursts,
    /// One client whose requests always fail.
    FailingClient,
    /// Two hundred clients, each bound to an instance, each with its own routes; routes fail at different rates.
    StickyClients,
    /// The candidate fails some requests in its first seconds.
    ColdErrors,
    /// The candidate is slow in its first seconds.
    ColdLatency,
    /// The candidate's host is slower than the others, and always was.
    SlowHost,
    /// An ERROR line that is known comes in bursts, without a failed request.
    KnownErrorBursts,
    /// An ERROR line that each instance writes by the clock, while the candidate has few requests.
    LinesByTheClock,
    /// Instances of both releases end by themselves several times an hour.
    Restarts,
    /// Clients try failed requests again, which fail again.
    RetryStorm,
    /// One instance, and a long outage in the hours before.
    OldOutage,
    /// A rollout in four phases of growing weight.
    Phases,
}

impl Shape {
    /// All of them.
    pub const ALL: [Shape; 14] = [
        Shape::Plain,
        Shape::SkewedOutage,
        Shape::Bursts,
        Shape::FailingClient,
        Shape::StickyClients,
        Shape::ColdErrors,
        Shape::ColdLatency,
        Shape::SlowHost,
        Shape::KnownErrorBursts,
        Shape::LinesByTheClock,
        Shape::Restarts,
        Shape::RetryStorm,
        Shape::OldOutage,
        Shape::Phases,
    ];

    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Shape::Plain => "plain",
            Shape::SkewedOutage => "skewed-outage",
            Shape::Bursts => "bursts-20-100",
            Shape::FailingClient => "failing-client",
            Shape::StickyClients => "sticky-clients",
            Shape::ColdErrors => "cold-errors",
            Shape::ColdLatency => "cold-latency",
            Shape::SlowHost => "slow-host",
            Shape::KnownErrorBursts => "known-error-bursts",
            Shape::LinesByTheClock => "lines-by-the-clock",
            Shape::Restarts => "restarts-of-both",
            Shape::RetryStorm => "retry-storm",
            Shape::OldOutage => "old-outage",
            Shape::Phases => "phases",
        }
    }

    /// Whether its trouble lies in latencies, which are costly to draw.
    fn is_of_latency(self) -> bool {
        matches!(self, Shape::ColdLatency | Shape::SlowHost)
    }
}

/// What is wrong with the candidate: nothing, or one thing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Harm {
    /// Nothing.
    None,
    /// Odds of an error so many times the current release's.
    Errors(f64),
    /// So large a share of the requests of one route of twenty fails.
    OneRoute(f64),
    /// Answers slower than the median by so much, at a quantile: (from which quantile on, factor).
    Slow(f64, f64),
    /// A new ERROR line in so large a share of the requests, none of which fails.
    NewErrorLine(f64),
    /// A known ERROR line so many times as often.
    KnownErrorLine(f64),
    /// A line that tells of success is no longer written.
    LostLine,
    /// Memory grows by so large a share per minute.
    Leak(f64),
    /// So many times the CPU.
    Cpu(f64),
    /// Instances end by themselves so many times an hour.
    Restarts(f64),
}

/// An outage of what all instances depend on.
#[derive(Debug, Clone, Copy)]
pub struct Outage {
    /// When it begins and ends.
    pub from: f64,
    /// When it ends.
    pub to: f64,
    /// Share of the requests that fail.
    pub share: f64,
    /// How far apart it begins, and ends, on different instances.
    pub skew: f64,
}

/// Something that happens to one instance at one time.
#[derive(Debug, Clone, Copy)]
pub struct Incident {
    /// When.
    pub at: i32,
    /// Of how many errors or lines.
    pub size: u32,
    /// Over how many seconds.
    pub over: i32,
    /// All by one client, or each by another.
    pub one_client: bool,
}

/// One rollout's service.
#[derive(Debug, Clone)]
pub struct Scene {
    /// Which shape.
    pub shape: Shape,
    /// What is wrong with the candidate.
    pub harm: Harm,
    /// Requests per second.
    pub traffic: f64,
    /// Share of requests that fail.
    pub base: f64,
    /// Instances of the current release and of the candidate.
    pub instances: (usize, usize),
    /// Whether latencies are drawn.
    pub has_latency: bool,
    /// Routes with their share of the traffic and how many times the base rate they fail.
    pub routes: Vec<(f64, f64)>,
    /// Whether the proxy can tell clients apart.
    pub tells_clients: bool,
    /// Outages of both releases, in seconds from the rollout's start; negative ones are before it.
    pub outages: Vec<Outage>,
    /// Mean seconds between incidents (bursts of errors or lines), their size, and how long one takes; 0: none.
    pub incident_every: f64,
    /// The sizes of an incident.
    pub incident_size: (f64, f64),
    /// Requests per second of one client that always fails, and from when on.
    pub failing_client: Option<(f64, f64)>,
    /// The candidate's first seconds: how long, how many requests fail, and how many times slower it is.
    pub cold: (f64, f64, f64),
    /// How many times slower the candidate's host is.
    pub host: f64,
    /// How often an instance ends by itself, per hour.
    pub restarts_per_hour: f64,
    /// The chance that a failed request is tried again, and fails again.
    pub retries: f64,
    /// Known ERROR lines of each instance by the clock, per hour.
    pub clock_lines_per_hour: f64,
    /// The weights of the candidate, phase after phase of equal length; one phase by default.
    pub phases: Vec<f64>,
}

impl Scene {
    /// A healthy service of this traffic without anything special.
    pub fn plain(traffic: f64, share: f64, base: f64) -> Scene {
        Scene {
            shape: Shape::Plain,
            harm: Harm::None,
            traffic,
            base,
            instances: (4, 1),
            has_latency: false,
            routes: vec![(1.0, 1.0)],
            tells_clients: true,
            outages: Vec::new(),
            incident_every: 0.0,
            incident_size: (0.0, 0.0),
            failing_client: None,
            cold: (0.0, 0.0, 1.0),
            host: 1.0,
            restarts_per_hour: 0.0,
            retries: 0.0,
            clock_lines_per_hour: 0.0,
            phases: vec![share],
        }
    }

    /// A healthy rollout of a shape.
    pub fn draw(shape: Shape, draw: &mut Draw) -> Scene {
        let traffic =
            if shape.is_of_latency() { draw.choose(&[20.0, 60.0]) } else { draw.choose(&[10.0, 50.0, 200.0]) };
        let share = draw.choose(&[0.05, 0.1, 0.25, 0.5]);
        let base = draw.log_between(2e-4, 1e-2);
        let mut scene =
            Scene { shape, tells_clients: draw.choose(&[true, false]), ..Scene::plain(traffic, share, base) };
        match shape {
            Shape::Plain => {}
            Shape::SkewedOutage => {
                for _ in 0..draw.choose(&[1, 2, 4]) {
                    let from = draw.between(30.0, f64::from(ROLLOUT_S) - 200.0);
                    let to = from + draw.log_between(5.0, 180.0);
                    scene.outages.push(Outage {
                        from,
                        to,
                        share: draw.log_between(0.1, 1.0),
                        skew: draw.between(0.5, 5.0),
                    });
                }
            }
            Shape::Bursts => {
                scene.incident_every = draw.between(1_200.0, 2_400.0);
                scene.incident_size = (20.0, draw.between(30.0, 100.0));
            }
            Shape::FailingClient => {
                scene.tells_clients = true;
                let from = if draw.choose(&[true, false]) { -1e9 } else { draw.between(0.0, 1_800.0) };
                scene.failing_client = Some((draw.log_between(0.02, 2.0), from));
            }
            Shape::StickyClients => {
                scene.tells_clients = true;
                scene.routes = (0..8).map(|_| (draw.log_between(0.1, 1.0), draw.log_between(0.1, 20.0))).collect();
                let whole: f64 = scene.routes.iter().map(|route| route.0).sum();
                scene.routes.iter_mut().for_each(|route| route.0 /= whole);
            }
            Shape::ColdErrors => scene.cold = (draw.between(5.0, 30.0), draw.log_between(0.01, 0.05), 1.0),
            Shape::ColdLatency => scene.cold = (draw.between(10.0, 30.0), 0.0, draw.between(2.0, 4.0)),
            Shape::SlowHost => scene.host = draw.between(1.1, 1.35),
            Shape::KnownErrorBursts => {
                scene.incident_every = draw.log_between(200.0, 1_500.0);
                scene.incident_size = (5.0, draw.between(10.0, 60.0));
            }
            Shape::LinesByTheClock => scene.clock_lines_per_hour = draw.log_between(6.0, 120.0),
            Shape::Restarts => scene.restarts_per_hour = draw.between(1.0, 8.0),
            Shape::RetryStorm => {
                scene.retries = draw.between(0.5, 0.85);
                scene.outages.push(Outage { from: 900.0, to: 930.0, share: 0.3, skew: 2.0 });
            }
            Shape::OldOutage => {
                scene.instances = (1, 1);
                let from = -draw.between(600.0, 3_000.0);
                let to = from + draw.between(60.0, 300.0);
                scene.outages.push(Outage { from, to, share: draw.between(0.3, 1.0), skew: 0.0 });
            }
            Shape::Phases => {
                scene.phases = vec![0.01, 0.05, 0.25, 0.5];
                scene.incident_every = 1_800.0;
                scene.incident_size = (5.0, 30.0);
            }
        }
        scene.has_latency |= shape.is_of_latency();
        scene
    }

    /// The candidate's weight at a second of the rollout.
    pub fn weight_at(&self, at: i32) -> f64 {
        let phase = self.phase_at(at);
        self.phases[phase]
    }

    /// Which phase a second of the rollout is in.
    pub fn phase_at(&self, at: i32) -> usize {
        if self.phases.len() == 1 {
            return 0;
        }
        (at.max(0) as usize * self.phases.len() / ROLLOUT_S as usize).min(self.phases.len() - 1)
    }
}
