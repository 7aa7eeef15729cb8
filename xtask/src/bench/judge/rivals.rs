//! The rules of the systems in use, in our own small implementations, fed with the same seconds.

use gapless_judge::engine::Table;
use serde::Serialize;

/// Which rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rival {
    /// Argo Rollouts: each minute the candidate's error rate must be ≤ 1.2 × the current release's; more than 3 failed
    /// measurements (`failureLimit: 3`) roll back.
    ArgoRelative,
    /// Argo Rollouts with the success rate of its documentation: ≥ 95 % each minute, `failureLimit: 3`.
    ArgoAbsolute,
    /// Flagger: request-success-rate ≥ 99 % each minute, `threshold: 5` failed checks roll back.
    Flagger,
    /// Kayenta: Mann–Whitney on the minutes' error rates at 98 % confidence, tolerance 0.25, judged every 5 minutes over all so far.
    Kayenta,
    /// A one-sided z-test of two proportions at 1 %, looked at each minute.
    PeekedZ,
}

impl Rival {
    /// All of them.
    pub const ALL: [Rival; 5] =
        [Rival::ArgoRelative, Rival::ArgoAbsolute, Rival::Flagger, Rival::Kayenta, Rival::PeekedZ];

    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Rival::ArgoRelative => "Argo 1.2×",
            Rival::ArgoAbsolute => "Argo 95 %",
            Rival::Flagger => "Flagger 99 %",
            Rival::Kayenta => "Kayenta",
            Rival::PeekedZ => "peeked z",
        }
    }
}

/// One rollout under all rival rules.
#[derive(Default)]
pub struct Rivals {
    minute: Table,
    total: Table,
    rates: Vec<(f64, f64)>,
    argo_relative: u32,
    argo_absolute: u32,
    flagger: u32,
    /// When each rule rolled back, in seconds.
    pub rolled_back_s: [Option<u32>; Rival::ALL.len()],
}

impl Rivals {
    /// Takes one second.
    pub fn handle_second(&mut self, second: usize, table: &Table) {
        self.minute.add(table);
        if (second + 1).is_multiple_of(60) {
            self.close_minute((second + 1) as u32);
        }
    }

    fn close_minute(&mut self, now: u32) {
        let minute = std::mem::take(&mut self.minute);
        self.total.add(&minute);
        let (candidate, current) = (minute.candidate.rate(), minute.current.rate());
        // Without candidate traffic these systems get no value and count the measurement as inconclusive or passed.
        if let Some(rate) = candidate {
            self.argo_relative += u32::from(current.is_some_and(|current| rate > 1.2 * current));
            self.argo_absolute += u32::from(rate > 0.05);
            self.flagger += u32::from(rate > 0.01);
        }
        if let Some(pair) = candidate.zip(current) {
            self.rates.push(pair);
        }
        let kayenta = now.is_multiple_of(300) && self.kayenta_fails();
        let decisions = [self.argo_relative > 3, self.argo_absolute > 3, self.flagger >= 5, kayenta, self.z_fails()];
        for (rolled_back, fails) in self.rolled_back_s.iter_mut().zip(decisions) {
            if fails {
                rolled_back.get_or_insert(now);
            }
        }
    }

    fn z_fails(&self) -> bool {
        let Table { candidate, current } = self.total;
        let (n_c, n_b) = (candidate.exposure as f64, current.exposure as f64);
        if n_c == 0.0 || n_b == 0.0 {
            return false;
        }
        let pooled = (candidate.events + current.events) as f64 / (n_c + n_b);
        let deviation = (pooled * (1.0 - pooled) * (1.0 / n_c + 1.0 / n_b)).sqrt();
        deviation > 0.0 && (candidate.events as f64 / n_c - current.events as f64 / n_b) / deviation > 2.326
    }

    /// Kayenta's classifier: the confidence interval of the Hodges–Lehmann shift lies above tolerance × the shift.
    fn kayenta_fails(&self) -> bool {
        let n = self.rates.len();
        if n < 5 {
            return false;
        }
        let mut differences: Vec<f64> = self
            .rates
            .iter()
            .flat_map(|(candidate, _)| self.rates.iter().map(move |(_, base)| candidate - base))
            .collect();
        differences.sort_by(f64::total_cmp);
        let pairs = (n * n) as f64;
        let rank = pairs / 2.0 - 2.326 * (pairs * (2 * n + 1) as f64 / 12.0).sqrt();
        let lower = differences[rank.floor().max(0.0) as usize];
        let shift = differences[n * n / 2];
        lower > 0.25 * shift && shift > 0.0 && lower > 0.0
    }
}
