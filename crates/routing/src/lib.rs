//! The pure routing table: matching, splitting, pins, balancing choice, drain accounting.
