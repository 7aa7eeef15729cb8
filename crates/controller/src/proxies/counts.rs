//! Asking the proxies for their counts of now, instead of waiting for the second to be over.

use std::time::Duration;

use super::crew::Member;
use crate::shared::Shared;
use gapless_fleet::ledger::Counted;

/// How long proxies may take to answer at a rollout's end; one that takes longer is frozen, or gone.
const ANSWER_WITHIN: Duration = Duration::from_millis(2_500);
/// How long an order waits for the counts that its receipt begins with: a proxy of an earlier release, which cannot be asked, reports each second.
const BASELINE_WITHIN: Duration = Duration::from_millis(1_500);
/// How long a deadline waits for the counts that it is decided on.
const FRESH_WITHIN: Duration = Duration::from_millis(250);

/// Brings the ledger up to this moment. Answers, for people, of which proxies the counts of this moment are not known, and what they had in flight.
pub async fn ask_counts(shared: &Shared) -> Vec<String> {
    let question = ask(shared, ANSWER_WITHIN, |_| true).await;
    let crew = shared.proxies();
    crew.unanswered(question)
        .into_iter()
        .map(|(id, member)| {
            let in_flight: u64 = member.last.iter().flat_map(|report| &report.in_flight).map(|doc| doc.requests).sum();
            let since = member.heard.elapsed().as_secs();
            format!("proxy {id} has not answered for {since} s: it had {in_flight} requests in flight then, and how they ended is not known")
        })
        .collect()
}

/// Brings the ledger up to the moment before an order, so that its receipt counts nothing that was before. A proxy that is known to be silent is not
/// waited for: what it counted since its last report is counted too, and that is said.
pub async fn counts_before(shared: &Shared) -> Counted {
    let question = ask(shared, BASELINE_WITHIN, |member| !member.is_silent()).await;
    let crew = shared.proxies();
    let unanswered = crew.unanswered(question).into_iter().map(|(id, member)| {
        let since = member.heard.elapsed().as_secs();
        format!("proxy {id} did not tell its counts: requests that ended there in the {since} s before are counted too")
    });
    Counted::Asked { unanswered: unanswered.collect() }
}

/// Has the proxies tell what they counted until now, so that the end of an observation is decided on fresh counts (I10). One that does not
/// answer at once holds up no deadline.
pub async fn freshen(shared: &Shared) {
    ask(shared, FRESH_WITHIN, |member| !member.is_silent()).await;
}

/// Asks everybody who is connected, and waits for those who are `awaited`. Answers the number of the question.
async fn ask(shared: &Shared, within: Duration, awaited: impl Fn(&Member) -> bool) -> u64 {
    let (question, links, mut reports) = {
        let mut crew = shared.proxies();
        (crew.next_question(), crew.links(), crew.reports.subscribe())
    };
    let seen = *reports.borrow_and_update();
    let answered = async {
        for link in links {
            // The queue to a proxy that is frozen may be full; the time-out below holds for that too.
            let _gone = link.ask_report(question).await;
        }
        loop {
            {
                let crew = shared.proxies();
                // A proxy of an earlier release cannot be asked: its next report is waited for.
                let due = crew.all_answer() || *reports.borrow() > seen;
                if due && !crew.unanswered(question).iter().any(|(_, member)| awaited(member)) {
                    return;
                }
            }
            if reports.changed().await.is_err() {
                return;
            }
        }
    };
    let _late = tokio::time::timeout(within, answered).await;
    question
}
