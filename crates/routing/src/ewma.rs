//! The expected latency of an instance: an exponentially weighted mean that jumps up at once and comes down slowly (Finagle's
//! "peak EWMA"), so that an instance which stalls is avoided from its first slow answer.

/// Within this time the weight of an old observation falls to 1/e.
const DECAY_US: f64 = 10_000_000.0;

/// What an instance that nobody has asked yet is taken to need: low, so that new instances are tried soon.
const UNKNOWN_US: f64 = 1_000.0;

/// The moving mean. Times in microseconds on any clock that does not run backwards.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct PeakEwma {
    cost_us: f64,
    at_us: u64,
}

impl PeakEwma {
    /// Nothing observed yet.
    #[must_use]
    pub fn new(now_us: u64) -> PeakEwma {
        PeakEwma { cost_us: UNKNOWN_US, at_us: now_us }
    }

    /// An answer took so long.
    pub fn observe(&mut self, now_us: u64, latency_us: u64) {
        let latency = latency_us as f64;
        if latency > self.cost_us {
            self.cost_us = latency;
        } else {
            let kept = self.kept(now_us);
            self.cost_us = self.cost_us * kept + latency * (1.0 - kept);
        }
        self.at_us = self.at_us.max(now_us);
    }

    /// What the next answer is expected to take, at least 1 µs. Decays towards nothing while nothing is observed, so that an
    /// instance once slow is asked again.
    #[must_use]
    pub fn cost_us(&self, now_us: u64) -> u64 {
        (self.cost_us * self.kept(now_us)).max(1.0) as u64
    }

    fn kept(&self, now_us: u64) -> f64 {
        let age = now_us.saturating_sub(self.at_us) as f64;
        (-age / DECAY_US).exp()
    }
}

#[cfg(test)]
mod tests {
    use super::PeakEwma;

    #[test]
    fn it_jumps_up_at_once_and_comes_down_slowly() {
        let mut ewma = PeakEwma::new(0);
        ewma.observe(1_000, 500_000);
        assert_eq!(ewma.cost_us(1_000), 500_000);
        ewma.observe(2_000, 100);
        assert!(ewma.cost_us(2_000) > 490_000);
        for second in 1..60 {
            ewma.observe(second * 1_000_000, 100);
        }
        assert!((100..4_000).contains(&ewma.cost_us(59_000_000)), "{}", ewma.cost_us(59_000_000));
    }

    #[test]
    fn an_idle_instance_is_asked_again() {
        let mut ewma = PeakEwma::new(0);
        ewma.observe(0, 10_000_000);
        assert!(ewma.cost_us(100_000_000) < 1_000);
        assert_eq!(ewma.cost_us(u64::MAX), 1);
        ewma.observe(5, 1); // a clock that seems to run backwards does no harm
    }
}
