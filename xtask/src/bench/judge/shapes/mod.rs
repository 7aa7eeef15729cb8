//! Everyday shapes: what healthy releases go through, and what bad ones hide behind.
//!
//! The services here are drawn instance by instance and client by client, and share nothing with the grid on which priors were
//! chosen. Of every range of parameters half is kept apart ([`draw::Half`]).

mod draw;
mod referee;
mod scene;
mod service;

use super::statistics::clopper_pearson_upper;
use draw::Draw;
pub use draw::Half;
use referee::{Ended, play};
use scene::{Harm, Scene, Shape};
use serde::Serialize;
use std::collections::BTreeMap;

/// Healthy rollouts of a shape after each stage; as in the grid, each stage's bound has an equal part of the error.
const STAGES: [u64; 2] = [600, 2_400];

/// With `--quick`.
const STAGES_QUICK: [u64; 1] = [60];

/// What became of the healthy rollouts of one shape.
#[derive(Debug, Clone, Serialize)]
pub struct ShapeReport {
    /// Which shape.
    pub shape: &'static str,
    /// Of which half of the parameters.
    pub half: &'static str,
    /// Rollouts.
    pub healthy: u64,
    /// Of them rolled back.
    pub rolled_back: u64,
    /// The upper 99 % bound of the probability.
    pub upper99: f64,
    /// Whether it is shown that no more than α are rolled back (with few rollouts: whether that is not excluded).
    pub within_alpha: bool,
    /// How the rollouts ended: verdict and number.
    pub ended: BTreeMap<&'static str, u64>,
    /// How many were frozen on the way.
    pub noticed: u64,
}

/// Healthy rollouts of one shape, stage after stage.
pub fn measure_shape(shape: Shape, half: Half, seed: u64, quick: bool) -> ShapeReport {
    let stages: &[u64] = if quick { &STAGES_QUICK } else { &STAGES };
    let (mut ended, mut rolled_back, mut noticed, mut done) = (BTreeMap::new(), 0, 0, 0);
    let mut upper99 = 1.0;
    for stage in stages {
        for index in done..*stage {
            let seed = seed.wrapping_add(index);
            let end = play(&Scene::draw(shape, &mut Draw::new(seed, half)), seed);
            *ended.entry(end.verdict.word()).or_default() += 1;
            rolled_back += u64::from(end.rolled_back);
            noticed += u64::from(end.noticed.is_some());
        }
        done = *stage;
        upper99 = clopper_pearson_upper(rolled_back, done, 0.01 / stages.len() as f64);
        if upper99 <= super::trial::ALPHA || rolled_back as f64 > super::trial::ALPHA * stages[stages.len() - 1] as f64
        {
            break;
        }
    }
    let within_alpha = if quick { rolled_back * 20 <= done } else { upper99 <= super::trial::ALPHA };
    ShapeReport {
        shape: shape.name(),
        half: half.name(),
        healthy: done,
        rolled_back,
        upper99,
        within_alpha,
        ended,
        noticed,
    }
}

/// What became of bad rollouts of one kind.
#[derive(Debug, Clone, Serialize)]
pub struct FoundReport {
    /// What was wrong.
    pub harm: String,
    /// Requests per second.
    pub traffic: f64,
    /// The candidate's share.
    pub share: f64,
    /// Rollouts.
    pub rollouts: u64,
    /// Rolled back.
    pub rolled_back: u64,
    /// Not rolled back, but frozen or left to a person, for something that spoke against it.
    pub held: u64,
    /// Left to a person, since too little was to be seen.
    pub unseen: u64,
    /// Promoted weakly, or by guards alone.
    pub weak: u64,
    /// Promoted by proof.
    pub praised: u64,
    /// Median seconds until it was frozen or rolled back.
    pub median_s: Option<f64>,
}

/// The kinds of harm of the table.
fn harms() -> Vec<(String, Harm)> {
    let mut harms: Vec<(String, Harm)> = vec![("nothing".into(), Harm::None)];
    harms.extend([2.0, 5.0, 10.0].map(|psi| (format!("errors x{psi}"), Harm::Errors(psi))));
    harms.push(("0.5 % on one route of twenty".into(), Harm::OneRoute(0.005)));
    for (name, from) in [("p50", 0.0), ("p95", 0.9), ("p99", 0.98)] {
        harms.extend([1.2, 1.5, 2.0].map(|factor| (format!("latency {name} x{factor}"), Harm::Slow(from, factor))));
    }
    harms.extend([0.02, 0.005, 0.001].map(|s| (format!("new ERROR line in {} %", s * 100.0), Harm::NewErrorLine(s))));
    harms.push(("known ERROR line x5".into(), Harm::KnownErrorLine(5.0)));
    harms.push(("success line stops".into(), Harm::LostLine));
    harms.push(("leak 1 %/min".into(), Harm::Leak(0.01)));
    harms.push(("cpu x1.5".into(), Harm::Cpu(1.5)));
    harms.push(("restarts 12 an hour".into(), Harm::Restarts(12.0)));
    harms
}

/// Bad rollouts of every kind at four sizes of a service.
pub fn measure_found(seed: u64, quick: bool) -> Vec<FoundReport> {
    let traffic: &[f64] = if quick { &[100.0] } else { &[1.0, 10.0, 100.0, 1_000.0] };
    let cells: Vec<(String, Harm, f64)> = traffic
        .iter()
        .flat_map(|traffic| harms().into_iter().map(move |(name, harm)| (name, harm, *traffic)))
        .collect();
    super::in_parallel("harms", &cells, |index, (name, harm, traffic)| {
        found(name, *harm, *traffic, seed.wrapping_add((index as u64) << 24), quick)
    })
}

fn found(name: &str, harm: Harm, traffic: f64, seed: u64, quick: bool) -> FoundReport {
    let share = 0.1;
    let mut scene = Scene { harm, ..Scene::plain(traffic, share, 1e-3) };
    scene.has_latency = matches!(harm, Harm::Slow(..));
    if matches!(harm, Harm::OneRoute(_)) {
        scene.base = 1e-4;
        scene.routes = vec![(0.05, 1.0); 20];
    }
    let rollouts = if quick {
        4
    } else if traffic > 500.0 && scene.has_latency {
        5
    } else {
        20
    };
    let mut report = FoundReport {
        harm: name.to_owned(),
        traffic,
        share,
        rollouts,
        rolled_back: 0,
        held: 0,
        unseen: 0,
        weak: 0,
        praised: 0,
        median_s: None,
    };
    let mut seconds = Vec::new();
    for index in 0..rollouts {
        let Ended { verdict, noticed, .. } = play(&scene, seed.wrapping_add(index));
        let place = match verdict.word() {
            "guard" | "fail" => &mut report.rolled_back,
            "pass" => &mut report.praised,
            "pass-weak" | "pass-unjudged" => &mut report.weak,
            _ if noticed.is_some() => &mut report.held,
            _ => &mut report.unseen,
        };
        *place += 1;
        seconds.push(noticed.map_or(f64::INFINITY, f64::from));
    }
    report.median_s = crate::bench::median::median(&mut seconds).filter(|second| second.is_finite());
    report
}

/// Everything about shapes.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ShapesReport {
    /// Healthy rollouts by shape.
    pub shapes: Vec<ShapeReport>,
    /// Shapes for which it is not shown that no more than α are rolled back.
    pub shapes_over_alpha: usize,
    /// Bad rollouts.
    pub found: Vec<FoundReport>,
}

/// Measures the shapes whose name contains `only`, and, if asked for, the table of what is found.
pub fn measure(seed: u64, quick: bool, half: Half, only: Option<&str>, with_found: bool) -> ShapesReport {
    let wanted: Vec<Shape> =
        Shape::ALL.into_iter().filter(|shape| only.is_none_or(|only| shape.name().contains(only))).collect();
    let shapes = super::in_parallel("shapes", &wanted, |index, shape| {
        measure_shape(*shape, half, seed.wrapping_add((index as u64) << 32), quick)
    });
    let found = if with_found { measure_found(seed, quick) } else { Vec::new() };
    let shapes_over_alpha = shapes.iter().filter(|shape| !shape.within_alpha).count();
    ShapesReport { shapes, shapes_over_alpha, found }
}

impl ShapesReport {
    /// The tables, on stderr.
    pub fn print(&self) {
        for shape in &self.shapes {
            let ShapeReport { shape, half, healthy, rolled_back, upper99, within_alpha, ended, noticed } = shape;
            let over = if *within_alpha { "" } else { "  OVER ALPHA" };
            eprintln!("{shape:20} {half} {rolled_back:4}/{healthy} ≤ {upper99:.4}  noticed {noticed}  {ended:?}{over}");
        }
        for row in &self.found {
            let FoundReport { harm, traffic, rollouts, rolled_back, held, unseen, weak, praised, median_s, .. } = row;
            let median = median_s.map_or("–".to_owned(), |s| format!("{s:.0} s"));
            eprintln!(
                "{harm:30} {traffic:6}/s of {rollouts}: rolled back {rolled_back} held {held} unseen {unseen} weak {weak} praised {praised}  {median}"
            );
        }
    }
}
