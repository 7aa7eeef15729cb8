//! Scenarios as an operator would tell them, with what the machine answers.

mod adjusting;
mod deadlines;
mod failing;
mod healing;
mod hooks;
mod operators;
mod player;
mod replacing;
mod turning_back;
mod world;
