//! The generated pages under `docs/reference` are what the program says today. `cargo xtask docs` writes them.

use std::path::Path;

#[test]
fn the_reference_pages_are_current() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference");
    for (name, text) in gapless_cli::reference::pages() {
        let path = folder.join(name);
        if std::env::var_os("GAPLESS_WRITE_REFERENCE").is_some() {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(&path, &text).unwrap();
        }
        let written = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(written == text, "docs/reference/{name} is out of date: run `cargo xtask docs`");
    }
}
