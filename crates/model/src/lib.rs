//! Plain values of Gapless: ids, releases, instances, weights, durations, valid by construction.
