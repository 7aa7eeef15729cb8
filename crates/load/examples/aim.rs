//! Aims every kind of client at an address that leads to sample services: `aim ADDRESS [SECONDS] [SEEN_FILE]`. Prints the sums.

use std::time::Duration;

use gapless_load::{Connections, Kind, Plan, Run};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let target = arguments.next().ok_or("usage: aim ADDRESS [SECONDS] [SEEN_FILE]")?.parse()?;
    let seconds = arguments.next().map_or(Ok(10), |text| text.parse())?;
    let over = Duration::from_secs(seconds.min(10));
    let message = Duration::from_millis(500);
    let mut plan = Plan::new(target)
        .with(Kind::Get, Connections::Kept(32), 200.0, "/")
        .with(Kind::Get, Connections::New, 50.0, "/")
        .with(Kind::Post { bytes: 100_000 }, Connections::Kept(16), 50.0, "/")
        .with(Kind::PostChunked { bytes: 50_000 }, Connections::New, 20.0, "/")
        .with(Kind::PostChunked { bytes: 5_000 }, Connections::Kept(8), 20.0, "/")
        .with(Kind::Get, Connections::Kept(16), 20.0, "/slow?ms=300")
        .with(Kind::Get, Connections::Kept(4), 5.0, "/stream?bytes=100000&ms=500")
        .with(Kind::SlowUpload { bytes: 200_000, over }, Connections::New, 2.0, "/")
        .with(Kind::SlowDownload { bytes: 4_000_000, over }, Connections::New, 2.0, "/large")
        .with(Kind::Pipeline { depth: 8 }, Connections::Kept(4), 10.0, "/")
        .with(Kind::WebSocket { every: message, lifetime: over }, Connections::New, 2.0, "/ws");
    plan.duration = Duration::from_secs(seconds);
    plan.seen = arguments.next().map(Into::into);
    let sums = Run::start(plan)?.finish()?;
    println!("{}", serde_json::to_string_pretty(&sums)?);
    Ok(())
}
