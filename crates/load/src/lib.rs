//! Open-loop load with a ledger of every request's fate, and the sample service it is aimed at.
