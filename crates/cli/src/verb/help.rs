//! `gapless help`: the configuration files, the exit codes, a verb.

use clap::CommandFactory;
use gapless_wire::config;

use crate::follow::print_text;
use crate::{Arguments, Context, Exit, Failure, hint, reference};

/// What `gapless help` is given.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// config, exit-codes, or a verb
    pub topic: Option<String>,
    /// With config: a section or key, such as health or health.interval
    pub key: Option<String>,
}

/// Runs the verb.
///
/// # Errors
/// There is no such topic or key.
pub fn run(args: &Args, _context: &Context) -> Result<Exit, Failure> {
    print_text(&text(args.topic.as_deref(), args.key.as_deref())?)?;
    Ok(Exit::Done)
}

fn text(topic: Option<&str>, key: Option<&str>) -> Result<String, Failure> {
    let mut program = Arguments::command();
    match topic {
        None => Ok(program.render_long_help().to_string()),
        Some("config") => config::help(key).ok_or_else(|| {
            let what = format!("there is no section or key `{}`", key.unwrap_or_default());
            Failure::new(what).hint(hint::HELP_CONFIG).exit(Exit::Usage)
        }),
        Some("exit-codes") => Ok(reference::exit_codes_text()),
        Some(verb) => {
            // Building makes the flags that every verb has known to each.
            program.build();
            let found = program.find_subcommand_mut(verb).filter(|command| !command.is_hide_set());
            let unknown =
                || Failure::new(format!("there is no help about `{verb}`")).hint(hint::HELP_TOPICS).exit(Exit::Usage);
            found.map(|command| command.render_long_help().to_string()).ok_or_else(unknown)
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::text;

    #[test]
    fn help_knows_its_topics_and_refuses_others() {
        assert!(text(Some("config"), Some("run")).unwrap().contains("stop_grace"));
        assert!(text(Some("deploy"), None).unwrap().contains("--label"));
        assert!(text(None, None).unwrap().contains("rollback"));
        assert!(text(Some("keeper"), None).is_err());
        expect![[r#"
            error: there is no section or key `helth`
            hint: `gapless help config` lists every key with its type, default and bounds"#]]
        .assert_eq(&text(Some("config"), Some("helth")).unwrap_err().to_string());
        expect![[r#"
            0    done            What was asked for is done; for a rollout: the candidate is the current release.
            1    error           Something failed: a file, the controller, the network. stderr says what, why, and what mends it.
            2    usage           The command line is wrong: an unknown verb or flag, a missing value.
            3    rolled back     The rollout ended rolled back: the release before it is in load. `status -w` gives it for a rollout that it watched.
            4    needs operator  The rollout ended where a person has to decide; capacity was kept. `gapless explain` says why.
            5    refused         The order was refused and nothing changed: the configuration has errors, the artefact is unsafe, a rollout is running, or the order had become impossible when it no longer had to wait.
            6    failed by us    The rollout is done, but its receipt counts requests that failed by Gapless itself.
            7    new errors      `gapless logs diff` found a signature at ERROR or above that only the new side has and that is not known.
            8    superseded      The order waited for a running rollout, and a later order took its place: it never began, and nothing of it is in load.
            9    cost unknown    The rollout is done, and its receipt counts nothing that failed by Gapless itself, but it is not whole: a proxy ended or did not answer while the rollout ran. `gapless receipt` says which.
            10   not well        `gapless status`: a service that is not stopped has fewer ready instances in load than its floor, or none. How its last rollout ended does not matter.
            130  interrupted     Waiting was interrupted (Ctrl-C). The rollout goes on: `gapless status -w` watches it.
        "#]].assert_eq(&text(Some("exit-codes"), None).unwrap());
    }
}
