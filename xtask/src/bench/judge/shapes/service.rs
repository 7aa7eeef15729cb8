//! The service of a scene, drawn second by second and instance by instance.

use super::scene::{BEFORE_S, Harm, Incident, ROLLOUT_S, Scene, Shape};
use crate::bench::judge::chance::Chance;
use gapless_judge::Arm;
use gapless_judge::engine::Exposure;
use gapless_judge::latency::LatencyWindow;
use gapless_judge::planner::rate_at;

/// Clients of a service, where they are not bound to instances.
const CLIENTS: u64 = 20_000;

/// Clients bound to instances, in [`Shape::StickyClients`].
const STICKY_CLIENTS: usize = 200;

/// Median answer in microseconds, and the deviation of its logarithm.
const MEDIAN_US: f64 = 40_000.0;
const SPREAD: f64 = 0.5;

/// Seconds between samples of memory and CPU.
const GAUGE_EVERY_S: i32 = 10;

/// Lines that a service of these scenes writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LineKind {
    /// An ERROR line that the current release wrote before.
    KnownError,
    /// An ERROR line never seen before.
    NewError,
    /// An INFO line with each tenth answered request.
    Success,
}

/// What was seen of one instance in one second.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Requests and failed ones of each route.
    pub routes: Vec<(u64, u64)>,
    /// The clients whose requests failed, each with the route.
    pub clients: Vec<(u16, u64)>,
    /// Latencies, where they are drawn.
    pub latency: LatencyWindow,
    /// Lines.
    pub lines: Vec<(LineKind, u64)>,
    /// It ended by itself.
    pub exited: bool,
    /// Memory and CPU.
    pub gauges: Option<(f64, f64)>,
}

/// An instance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Instance {
    /// Whose it is.
    pub arm: Arm,
    /// The machine it runs on.
    pub host: usize,
    /// From which second on it runs, and until when.
    pub lives: (i32, i32),
}

/// A service of a scene.
pub struct Service {
    scene: Scene,
    chance: Chance,
    /// The instances, with when each outage begins and ends there.
    pub instances: Vec<Instance>,
    outages: Vec<Vec<(f64, f64, f64)>>,
    incidents: Vec<(usize, Incident)>,
    sticky: Vec<Sticky>,
    /// The sticky clients of each instance, and of which time that is: (during the rollout, phase).
    bound_to: Vec<Vec<usize>>,
    bound_since: Option<(bool, usize)>,
    failing_at: Option<usize>,
    /// Errors still to come of retries: second, instance.
    due: Vec<Vec<u32>>,
}

/// A client bound to an instance: (requests per second as a share, shares of routes).
struct Sticky {
    share: f64,
    routes: Vec<f64>,
    /// Where it was bound before the rollout, and a number that says where it is afterwards.
    place: (usize, f64),
}

impl Service {
    /// The service of a scene.
    pub fn new(scene: &Scene, seed: u64) -> Service {
        let mut chance = Chance::new(seed);
        let (current, candidate) = scene.instances;
        // The last instance of the current release makes room for the candidate, where it is not the only one.
        let last = if current > 1 { current - 1 } else { usize::MAX };
        let mut instances: Vec<Instance> = (0..current)
            .map(|host| {
                let until = if host == last { 0 } else { i32::MAX };
                Instance { arm: Arm::Current, host, lives: (i32::MIN, until) }
            })
            .collect();
        instances.extend((0..candidate).map(|index| Instance {
            arm: Arm::Candidate,
            host: if index == 0 && current > 1 { last } else { current + index },
            lives: (0, i32::MAX),
        }));
        let outages = instances
            .iter()
            .map(|_| {
                let outages = scene.outages.iter();
                outages
                    .map(|outage| {
                        let (a, b) = (chance.unit() * outage.skew, chance.unit() * outage.skew);
                        (outage.from + a, outage.to + b, outage.share)
                    })
                    .collect()
            })
            .collect();
        let mut service = Service {
            scene: scene.clone(),
            chance,
            due: vec![Vec::new(); instances.len()],
            instances,
            outages,
            incidents: Vec::new(),
            sticky: Vec::new(),
            bound_to: Vec::new(),
            bound_since: None,
            failing_at: None,
        };
        service.draw_incidents();
        service.draw_clients();
        service
    }

    fn draw_incidents(&mut self) {
        if self.scene.incident_every <= 0.0 {
            return;
        }
        let mut at = -f64::from(BEFORE_S);
        loop {
            at += self.chance.exponential() * self.scene.incident_every;
            if at >= f64::from(ROLLOUT_S) {
                return;
            }
            let (low, high) = self.scene.incident_size;
            let size = (low + (high - low) * self.chance.unit()) as u32;
            let over = 1 + (self.chance.unit() * 6.0) as i32;
            let one_client = self.chance.unit() < 0.5;
            let incident = Incident { at: at as i32, size, over, one_client };
            let place = self.place_by_load(at as i32);
            self.incidents.push((place, incident));
        }
    }

    fn draw_clients(&mut self) {
        let chance = &mut self.chance;
        if self.scene.shape == Shape::StickyClients {
            let mut whole = 0.0;
            for _ in 0..STICKY_CLIENTS {
                let share = chance.exponential().powi(2) + 0.05;
                whole += share;
                let routes: Vec<f64> =
                    self.scene.routes.iter().map(|route| route.0 * chance.exponential().powi(2)).collect();
                let sum: f64 = routes.iter().sum();
                let routes = routes.into_iter().map(|route| route / sum).collect();
                let before = (chance.unit() * self.scene.instances.0 as f64) as usize;
                self.sticky.push(Sticky { share, routes, place: (before, chance.unit()) });
            }
            self.sticky.iter_mut().for_each(|client| client.share /= whole);
        }
        if self.scene.failing_client.is_some() {
            self.failing_at = Some(self.place_by_load(0));
        }
    }

    /// An instance, chosen as a request is.
    fn place_by_load(&mut self, at: i32) -> usize {
        let shares: Vec<f64> = (0..self.instances.len()).map(|index| self.share_of(index, at)).collect();
        let mut left = self.chance.unit() * shares.iter().sum::<f64>();
        for (index, share) in shares.iter().enumerate() {
            left -= share;
            if left <= 0.0 && *share > 0.0 {
                return index;
            }
        }
        0
    }

    fn lives(&self, index: usize, at: i32) -> bool {
        let (from, until) = self.instances[index].lives;
        (from..until).contains(&at)
    }

    /// The share of the traffic that an instance has.
    fn share_of(&self, index: usize, at: i32) -> f64 {
        if !self.lives(index, at) {
            return 0.0;
        }
        let arm = self.instances[index].arm;
        let alike = (0..self.instances.len()).filter(|i| self.instances[*i].arm == arm && self.lives(*i, at)).count();
        let of_arm = match (arm, at < 0) {
            (Arm::Current, true) => 1.0,
            (Arm::Current, false) => 1.0 - self.scene.weight_at(at),
            (Arm::Candidate, _) => self.scene.weight_at(at),
        };
        of_arm / alike.max(1) as f64
    }

    /// What is seen of an instance in one second; `None` while it does not run.
    pub fn second(&mut self, index: usize, at: i32) -> Option<Seen> {
        if !self.lives(index, at) {
            return None;
        }
        let mut seen = Seen { routes: vec![(0, 0); self.scene.routes.len()], ..Seen::default() };
        if self.sticky.is_empty() {
            self.spread(index, at, &mut seen);
        } else {
            self.bound(index, at, &mut seen);
        }
        self.incidents_of(index, at, &mut seen);
        self.failing_client(index, at, &mut seen);
        self.latencies(index, at, &mut seen);
        self.lines(index, at, &mut seen);
        self.process(index, at, &mut seen);
        Some(seen)
    }

    /// The share of a route's requests that fails now.
    fn failing(&self, index: usize, at: i32, route: usize) -> f64 {
        let instance = self.instances[index];
        let (_, factor) = self.scene.routes[route];
        let mut rate = (self.scene.base * factor).min(0.9);
        let now = f64::from(at) + 0.5;
        for (from, to, share) in &self.outages[index] {
            if (*from..*to).contains(&now) {
                rate = rate.max(*share);
            }
        }
        if instance.arm == Arm::Current {
            return rate;
        }
        let (cold_s, cold_rate, _) = self.scene.cold;
        if f64::from(at) < cold_s {
            rate = rate.max(cold_rate);
        }
        match self.scene.harm {
            Harm::Errors(psi) if rate < 1.0 => rate_at(rate, psi, Exposure::Trials),
            Harm::OneRoute(share) if route == 0 => rate.max(share),
            _ => rate,
        }
    }

    /// Requests of many clients, none of them bound.
    fn spread(&mut self, index: usize, at: i32, seen: &mut Seen) {
        let mean = self.scene.traffic * self.share_of(index, at);
        let mut failed = 0;
        for route in 0..seen.routes.len() {
            let requests = self.chance.poisson(mean * self.scene.routes[route].0);
            let errors = self.chance.binomial(requests, self.failing(index, at, route));
            seen.routes[route] = (requests, errors);
            failed += errors;
            for _ in 0..errors {
                let client = self.chance.bits() % CLIENTS;
                seen.clients.push((route as u16, client));
            }
        }
        self.retries(index, failed, seen);
    }

    /// What failed is tried again a moment later at the same instance, and mostly fails again.
    fn retries(&mut self, index: usize, failed: u64, seen: &mut Seen) {
        if self.scene.retries <= 0.0 {
            return;
        }
        let due: u64 = self.due[index].pop().map_or(0, u64::from);
        seen.routes[0].0 += due;
        seen.routes[0].1 += due;
        // The clients are those whose first request failed: no new ones.
        let again = self.chance.binomial((failed + due).min(5_000), self.scene.retries);
        self.due[index].insert(0, again as u32);
    }

    /// Which client is bound to which instance now; asked anew where the weights have changed.
    fn bind(&mut self, at: i32) {
        let time = (at >= 0, self.scene.phase_at(at));
        if self.bound_since == Some(time) {
            return;
        }
        let running: Vec<usize> = (0..self.instances.len()).filter(|i| self.lives(*i, at)).collect();
        let mut edges = Vec::with_capacity(running.len());
        let mut sum = 0.0;
        for instance in &running {
            sum += self.share_of(*instance, at);
            edges.push((*instance, sum));
        }
        self.bound_to = vec![Vec::new(); self.instances.len()];
        for (number, client) in self.sticky.iter().enumerate() {
            let place = if at < 0 {
                client.place.0
            } else {
                edges.iter().find(|(_, edge)| client.place.1 < *edge).map_or(running[0], |(instance, _)| *instance)
            };
            self.bound_to[place].push(number);
        }
        self.bound_since = Some(time);
    }

    /// Requests of clients that are bound to instances.
    fn bound(&mut self, index: usize, at: i32, seen: &mut Seen) {
        self.bind(at);
        for place in 0..self.bound_to[index].len() {
            let number = self.bound_to[index][place];
            let client = &self.sticky[number];
            let requests = self.chance.poisson(self.scene.traffic * client.share);
            for _ in 0..requests {
                let mut left = self.chance.unit();
                let routes = &self.sticky[number].routes;
                let route = routes.iter().position(|share| {
                    left -= share;
                    left <= 0.0
                });
                let route = route.unwrap_or(0);
                seen.routes[route].0 += 1;
                if self.chance.unit() < self.failing(index, at, route) {
                    seen.routes[route].1 += 1;
                    seen.clients.push((route as u16, number as u64));
                }
            }
        }
    }

    fn incidents_of(&mut self, index: usize, at: i32, seen: &mut Seen) {
        for number in 0..self.incidents.len() {
            let (place, incident) = self.incidents[number];
            if place != index || !(incident.at..incident.at + incident.over).contains(&at) {
                continue;
            }
            let size = u64::from(incident.size.div_ceil(incident.over as u32));
            if self.scene.shape == Shape::KnownErrorBursts {
                seen.lines.push((LineKind::KnownError, size));
                continue;
            }
            seen.routes[0].0 += size;
            seen.routes[0].1 += size;
            for _ in 0..size {
                let client = if incident.one_client { CLIENTS + number as u64 } else { self.chance.bits() % CLIENTS };
                seen.clients.push((0, client));
            }
        }
    }

    fn failing_client(&mut self, index: usize, at: i32, seen: &mut Seen) {
        let (Some((rate, from)), Some(place)) = (self.scene.failing_client, self.failing_at) else { return };
        // Before the rollout it was bound somewhere too.
        let place = if at < 0 && self.instances[place].arm == Arm::Candidate { 0 } else { place };
        if place != index || f64::from(at) < from {
            return;
        }
        let requests = self.chance.poisson(rate);
        seen.routes[0].0 += requests;
        seen.routes[0].1 += requests;
        seen.clients.extend((0..requests).map(|_| (0, u64::MAX)));
    }

    fn latencies(&mut self, index: usize, at: i32, seen: &mut Seen) {
        if !self.scene.has_latency {
            return;
        }
        let instance = self.instances[index];
        let last = self.scene.instances.0.saturating_sub(1);
        let host = if instance.host == last { self.scene.host } else { 1.0 };
        let (cold_s, _, cold_factor) = self.scene.cold;
        let is_cold = instance.arm == Arm::Candidate && f64::from(at) < cold_s;
        let median = MEDIAN_US * host * if is_cold { cold_factor } else { 1.0 };
        let requests: u64 = seen.routes.iter().map(|route| route.0).sum();
        for _ in 0..requests {
            let place = self.chance.unit();
            // The logistic law is near enough to the normal one, and its quantile is at hand.
            let mut us = median * (SPREAD * 0.5513 * (place / (1.0 - place)).ln()).exp();
            if let (Harm::Slow(from, factor), Arm::Candidate) = (self.scene.harm, instance.arm)
                && place >= from
            {
                us *= factor;
            }
            seen.latency.answered.record_us(us as u64);
        }
    }

    fn lines(&mut self, index: usize, at: i32, seen: &mut Seen) {
        let candidate = self.instances[index].arm == Arm::Candidate;
        let requests: u64 = seen.routes.iter().map(|route| route.0).sum();
        if self.scene.clock_lines_per_hour > 0.0 {
            let every = (3_600.0 / self.scene.clock_lines_per_hour) as i32;
            if (at + 7 * index as i32).rem_euclid(every) == 0 {
                seen.lines.push((LineKind::KnownError, 1));
            }
        }
        match self.scene.harm {
            Harm::NewErrorLine(share) if candidate => {
                let lines = self.chance.binomial(requests, share);
                seen.lines.push((LineKind::NewError, lines));
            }
            Harm::KnownErrorLine(factor) => {
                let rate = 0.002 * if candidate { factor } else { 1.0 };
                let lines = self.chance.binomial(requests, rate.min(1.0));
                seen.lines.push((LineKind::KnownError, lines));
            }
            Harm::LostLine if !candidate => {
                let lines = self.chance.binomial(requests, 0.1);
                seen.lines.push((LineKind::Success, lines));
            }
            _ => {}
        }
        seen.lines.retain(|(_, lines)| *lines > 0);
    }

    fn process(&mut self, index: usize, at: i32, seen: &mut Seen) {
        let candidate = self.instances[index].arm == Arm::Candidate;
        let mut per_hour = self.scene.restarts_per_hour;
        let (mut memory, mut cpu) = (0.4, 0.3);
        match self.scene.harm {
            Harm::Restarts(more) if candidate => per_hour += more,
            Harm::Leak(per_minute) if candidate => memory *= 1.0 + per_minute * f64::from(at) / 60.0,
            Harm::Cpu(factor) if candidate => cpu *= factor,
            _ => {}
        }
        seen.exited = per_hour > 0.0 && self.chance.unit() < per_hour / 3_600.0;
        if matches!(self.scene.harm, Harm::Leak(_) | Harm::Cpu(_)) && at.rem_euclid(GAUGE_EVERY_S) == 0 {
            let noise = 0.9 + 0.2 * self.chance.unit();
            seen.gauges = Some((memory * (0.97 + 0.06 * self.chance.unit()), cpu * noise));
        }
    }
}
