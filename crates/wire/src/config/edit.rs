//! Changes to the text of a configuration that keep the rest of it, comments included.

use toml_edit::DocumentMut;

use super::error::{ConfigErrors, Fault, placed};

/// Keys of `[strategy]` that mean something only with `rolling`.
pub(super) const ROLLING_ONLY: &[&str] = &["batch", "order", "observe"];

/// The text of a service's configuration with another strategy; keys that mean nothing with it are taken out. So a release that was
/// deployed with `--strategy` stores what it was deployed with.
///
/// # Errors
/// When the text is not TOML.
pub fn with_strategy(text: &str, kind: &str, file_name: &str) -> Result<String, ConfigErrors> {
    let mut document: DocumentMut = text.parse().map_err(|error: toml_edit::TomlError| {
        let fault = Fault::new("this is not TOML").because(error.message().trim().replace('\n', "; ")).at(error.span());
        placed(file_name, text, vec![fault])
    })?;
    let table = document.entry("strategy").or_insert_with(toml_edit::table);
    if let Some(table) = table.as_table_like_mut() {
        table.insert("kind", toml_edit::value(kind));
        if kind != "rolling" {
            for key in ROLLING_ONLY {
                table.remove(key);
            }
        }
    }
    Ok(document.to_string())
}

#[cfg(test)]
mod tests {
    use super::with_strategy;
    use crate::config::parse_service_config;

    #[test]
    fn another_strategy_keeps_the_rest_of_the_file() {
        let text = "service = \"shop\" # ours\n[run]\ncommand = [\"x\"]\n[strategy]\nbatch = 2\nbake = \"1m\"\n";
        let changed = with_strategy(text, "blue-green", "gapless.toml").unwrap();
        assert!(changed.contains("# ours") && changed.contains("bake = \"1m\"") && !changed.contains("batch"));
        assert_eq!(parse_service_config(&changed, "gapless.toml").unwrap().strategy.name(), "blue-green");
    }

    #[test]
    fn a_strategy_is_added_where_none_is_written() {
        let text = "service = \"shop\"\n[run]\ncommand = [\"x\"]\n";
        let changed = with_strategy(text, "blue-green", "gapless.toml").unwrap();
        assert_eq!(parse_service_config(&changed, "gapless.toml").unwrap().strategy.name(), "blue-green");
    }
}
