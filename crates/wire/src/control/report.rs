//! What a proxy reports: each second, and at once when an instance has drained. Counts are cumulative since the proxy began.

use std::collections::BTreeMap;

use gapless_histogram::Histogram;
use gapless_model::{InstanceId, ReleaseId, ServiceName};
use gapless_routing::{Audience, SeriesCounts, SeriesKey, Terminal};
use serde::{Deserialize, Serialize};

use super::convert::DocInvalid;
use super::eighths;
use super::message::HealthDoc;
use super::table::{RouteDoc, VersionDoc};

/// Buckets of latencies that one report tells: some 4 MB of the 16 MiB that a frame may have.
pub const FINE_PAIRS_MAX: usize = 200_000;

/// One report.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ReportDoc {
    /// Rising within the life of a proxy.
    pub number: u64,
    /// Milliseconds since the proxy began.
    pub uptime_ms: u64,
    /// The table that every thread uses; what follows was read after that was seen.
    pub applied: VersionDoc,
    /// Every instance that has requests in flight, draining ones included; those not named have none.
    pub in_flight: Vec<InFlightDoc>,
    /// Every series on the first report of a connection, later those that changed.
    pub series: Vec<SeriesDoc>,
    /// Every instance that is probed or was ejected.
    pub health: Vec<HealthReport>,
    /// Client connections that are open.
    pub connections: u64,
    /// Connections to instances that are open.
    pub upstream_connections: u64,
    /// Tunnels that are open.
    pub tunnels: u64,
    /// Requests that wait in a hold.
    pub holding: u64,
    /// Events and access records that were dropped, since the beginning.
    pub dropped: u64,
    /// The number of the newest [`ToProxy::Report`](super::ToProxy::Report) that this answers; 0 before any.
    pub asked: u64,
    /// What is not as it should be though the proxy serves, for people: a table that cannot be kept on disk, an access log that cannot be written.
    pub troubles: Vec<String>,
}

/// The requests in flight of one instance.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct InFlightDoc {
    /// As `SERVICE.rN.iN`.
    pub instance: String,
    /// Exact, over all threads; tunnels count until they end.
    pub requests: u64,
    /// Those of them that have no end in sight: tunnels, and answers that are streams of events.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub lasting: u64,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// The health of one instance as the proxy's own probes and its requests show it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HealthReport {
    /// As `SERVICE.rN.iN`.
    pub instance: String,
    /// What the probes say.
    pub probes: HealthDoc,
    /// On how many threads it is left out because of what requests met.
    #[serde(default)]
    pub ejected_on: u32,
}

/// One series of counts.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SeriesDoc {
    /// The service; none for requests that reached no service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The release; none for requests that reached no release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<u64>,
    /// The route.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<RouteDoc>,
    /// What a series of previews counts, which names no service of its own: so a reader that knows no previews takes it for
    /// requests that reached no service, which are on no receipt, rather than for the service's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preview: Option<PreviewSeries>,
    /// By [`Terminal::key`]; those not named are zero.
    pub ended: BTreeMap<String, u64>,
    /// Attempts after the first.
    pub retries: u64,
    /// Those of them that sent bytes a second time.
    pub replays: u64,
    /// Requests that were held.
    pub held: u64,
    /// The longest wait, in microseconds.
    pub held_longest_us: u64,
    /// (bucket, count) of the waits, in buckets of an eighth.
    pub held_us: Vec<(usize, u64)>,
    /// (bucket, count) of the latencies, in buckets of an eighth: what controllers of the first edition read.
    pub latency_us: Vec<(usize, u64)>,
    /// (bucket, count) of the latencies in the buckets of [`gapless_histogram`]; none of a proxy that knows eighths alone, and none where the
    /// report would become too long.
    pub latency_histogram: Option<Vec<(usize, u64)>>,
}

/// What a series of previews counts.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PreviewSeries {
    /// The service.
    pub service: String,
    /// The route.
    pub route: RouteDoc,
}

impl SeriesDoc {
    /// The documents of several series. Where their latencies have more than [`FINE_PAIRS_MAX`] buckets together, all of them are told in eighths
    /// alone, so that one report fits into one frame.
    #[must_use]
    pub fn of_all(series: &[(Option<SeriesKey>, SeriesCounts)]) -> Vec<SeriesDoc> {
        let pairs: usize = series.iter().map(|(_, counts)| counts.latency_us.filled().count()).sum();
        let mut docs: Vec<SeriesDoc> =
            series.iter().map(|(key, counts)| SeriesDoc::new(key.as_ref(), counts)).collect();
        if pairs > FINE_PAIRS_MAX {
            docs.iter_mut().for_each(|doc| doc.latency_histogram = None);
        }
        docs
    }

    /// The document of a series; no key for [`Series::UNMATCHED`](gapless_routing::Series::UNMATCHED).
    #[must_use]
    pub fn new(key: Option<&SeriesKey>, counts: &SeriesCounts) -> SeriesDoc {
        let ended = Terminal::all().map(|terminal| (terminal.key(), counts.terminals[terminal.index()]));
        let preview = key.filter(|key| key.audience == Audience::Preview);
        let key = key.filter(|key| key.audience == Audience::Everybody);
        SeriesDoc {
            service: key.map(|key| key.service.to_string()),
            release: key.and_then(|key| key.release).map(|release| release.0),
            route: key.map(|key| RouteDoc::from(&key.route)),
            preview: preview
                .map(|key| PreviewSeries { service: key.service.to_string(), route: RouteDoc::from(&key.route) }),
            ended: ended.filter(|(_, count)| *count > 0).collect(),
            retries: counts.retries,
            replays: counts.replays,
            held: counts.held,
            held_longest_us: counts.held_longest_us,
            held_us: eighths::fold(&counts.held_us),
            latency_us: eighths::fold(&counts.latency_us),
            latency_histogram: Some(counts.latency_us.filled().collect()),
        }
    }

    /// What it counts; none for requests that reached no service.
    ///
    /// # Errors
    /// [`DocInvalid`] where a name or route is none.
    pub fn key(&self) -> Result<Option<SeriesKey>, DocInvalid> {
        let (service, route, audience) = match (&self.preview, &self.service, &self.route) {
            (Some(preview), _, _) => (&preview.service, &preview.route, Audience::Preview),
            (None, Some(service), Some(route)) => (service, route, Audience::Everybody),
            (None, _, _) => return Ok(None),
        };
        Ok(Some(SeriesKey {
            service: ServiceName::new(service).map_err(|_| DocInvalid::ServiceName(service.clone()))?,
            release: self.release.map(ReleaseId),
            route: route.try_into()?,
            audience,
        }))
    }

    /// The counts. A terminal state that this reader does not know (a newer proxy's) is left out.
    #[must_use]
    pub fn counts(&self) -> SeriesCounts {
        let mut counts = SeriesCounts {
            retries: self.retries,
            replays: self.replays,
            held: self.held,
            held_longest_us: self.held_longest_us,
            held_us: eighths::unfold(&self.held_us),
            latency_us: histogram(self.latency_histogram.as_deref(), &self.latency_us),
            ..SeriesCounts::default()
        };
        for (key, count) in &self.ended {
            if let Some(terminal) = Terminal::from_key(key) {
                counts.terminals[terminal.index()] = *count;
            }
        }
        counts
    }
}

/// A histogram from its buckets, or from eighths where those are all there is.
fn histogram(buckets: Option<&[(usize, u64)]>, eighths: &[(usize, u64)]) -> Histogram {
    let Some(buckets) = buckets else { return eighths::unfold(eighths) };
    let mut histogram = Histogram::default();
    buckets.iter().for_each(|(bucket, count)| histogram.record_bucket(*bucket, *count));
    histogram
}

impl ReportDoc {
    /// What has no end in sight, by instance. A name that is none is left out: [`ReportDoc::in_flight`] says so.
    pub fn lasting(&self) -> impl Iterator<Item = (InstanceId, u64)> {
        self.in_flight.iter().filter_map(|doc| Some((doc.instance.parse().ok()?, doc.lasting)))
    }

    /// The requests in flight by instance.
    ///
    /// # Errors
    /// [`DocInvalid::Instance`].
    pub fn in_flight(&self) -> Result<Vec<(InstanceId, u64)>, DocInvalid> {
        let parsed = |doc: &InFlightDoc| {
            let id = doc.instance.parse().map_err(|_| DocInvalid::Instance(doc.instance.clone()))?;
            Ok((id, doc.requests))
        };
        self.in_flight.iter().map(parsed).collect()
    }
}
