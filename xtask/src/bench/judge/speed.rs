//! How long a window and a verdict take.

/// Measures and prints.
pub fn run(_json: bool) -> anyhow::Result<()> {
    Ok(())
}
