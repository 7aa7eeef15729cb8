//! What would keep an instance from being run here, found without running it: the same looks that a keeper takes before it does.

use std::path::Path;

use gapless_model::RunSpec;

use super::child::{program, user};

/// Where programs are searched for when neither the release nor this process says so.
const PATH_DEFAULT: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What is missing, a sentence each. `source` is the folder that would be released; without one, files are not looked for.
#[must_use]
pub fn problems(run: &RunSpec, source: Option<&Path>) -> Vec<String> {
    let mut problems: Vec<String> = run.user.as_deref().and_then(|name| user(name).err()).into_iter().collect();
    let Some(source) = source else { return problems };
    let working = source.join(&run.folder);
    if !working.is_dir() {
        problems.push(format!("its working folder {:?} is not in the artefact", run.folder));
        return problems;
    }
    let of_process = || std::env::var("PATH").unwrap_or_else(|_| PATH_DEFAULT.to_owned());
    let path = run.environment.get("PATH").cloned().unwrap_or_else(of_process);
    // What has a placeholder in it is known only to an instance.
    let name = run.command.first().filter(|name| !name.contains('{'));
    problems.extend(name.and_then(|name| program(name, &working, &path).err()));
    problems
}

#[cfg(test)]
mod tests {
    use gapless_model::RunSpec;
    use gapless_wire::config::parse_service_config;

    use super::problems;

    fn run(command: &str, folder: &str, user: Option<&str>) -> RunSpec {
        let user = user.map(|user| format!("user = {user:?}\n")).unwrap_or_default();
        let text = format!("service = \"shop\"\n[run]\ncommand = [{command:?}]\nfolder = {folder:?}\n{user}");
        parse_service_config(&text, "gapless.toml").unwrap().run
    }

    #[test]
    fn a_missing_program_folder_or_user_is_found_before_anything_runs() {
        let source = tempfile::tempdir().unwrap();
        let found = |command: &str, folder: &str, user: Option<&str>| {
            problems(&run(command, folder, user), Some(source.path()))
        };
        assert_eq!(found("sh", ".", None), [""; 0]);
        assert_eq!(found("./{release}/serve", ".", None), [""; 0], "known only to an instance");
        let [program] = &found("./serve", ".", None)[..] else { panic!("one problem") };
        assert!(program.starts_with("cannot run \"./serve\""), "{program}");
        assert_eq!(found("sh", "app", None), ["its working folder \"app\" is not in the artefact"]);
        assert_eq!(found("sh", ".", Some("no-such-user-here")), ["there is no user \"no-such-user-here\""]);
        assert_eq!(problems(&run("./serve", ".", None), None), [""; 0], "without a folder files are not looked for");
    }
}
