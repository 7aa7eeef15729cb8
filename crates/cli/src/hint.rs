//! Every hint of the program, in one place: the same trouble is mended by the same words.

/// The controller does not answer.
pub const START_CONTROLLER: &str =
    "start it with `gapless up`, or name its state folder with --state DIR (or GAPLESS_STATE)";
/// There is no `gapless.toml`.
pub const WRITE_CONFIG: &str = "`gapless init` writes one for the code in this folder";
/// A key of a configuration file is wrong.
pub const HELP_CONFIG: &str = "`gapless help config` lists every key with its type, default and bounds";
/// The name of a service is needed.
pub const NAME_SERVICE: &str =
    "name the service, or run this in the folder of its `gapless.toml`; `gapless status` lists the services";
/// What does not end when it is told to.
pub const KILL_WHAT_IS_LEFT: &str = "`kill -KILL PID` ends a frozen proxy; then say `gapless down` again";
/// An archive is expected on stdin.
pub const PIPE_ARCHIVE: &str = "such as `tar cz -C build . | gapless deploy --label 1.4.0 --from -`";
/// A number of instances is needed.
pub const NAME_NUMBER: &str = "such as `gapless scale shop 5`; `gapless stop` ends every instance";
/// The state folder is not known.
pub const NAME_STATE: &str = "name a folder with --state DIR (or GAPLESS_STATE)";
/// Others may write the state folder.
pub const OWN_STATE: &str = "see who put it there; then `chown` it to the user of `gapless up`, `chmod go-w` it, and put a folder in the place of a link";
/// The journal is damaged or cannot be written.
pub const MEND_JOURNAL: &str = "the proxy serves on meanwhile; repair the disk, then `gapless restore FILE` puts a backup back, or `gapless recover` rebuilds the journal \
    from what runs; then start `gapless up` again";
/// The journal failed while the controller ran.
pub const AWAIT_JOURNAL: &str = "repair or empty the disk: when it can be written the controller ends, for its supervisor to start it again (without one: `gapless up`). \
    A journal that is damaged: end the controller, then `gapless restore FILE` or `gapless recover`";
/// The journal is older than what runs, or new beside it.
pub const OUTDATED_JOURNAL: &str = "the proxy serves on meanwhile; `gapless restore FILE` puts a newer backup back, `gapless recover` rebuilds the journal from what runs; \
    to begin anew, name an empty folder with --state DIR";
/// The witness of a whole journal is damaged.
pub const REMOVE_WITNESS: &str = "the proxy serves on meanwhile; remove that one file and start `gapless up` again: it is written anew, and a journal that lacks what \
    runs is refused all the same";
/// A proxy is there and does not answer.
pub const ASK_PROXY: &str = "proxy.log in the state folder says why; a proxy that is stopped (SIGSTOP) or stuck has to go on, or be ended, first";
/// Something in the state folder names a term that no controller can have come to.
pub const IMPOSSIBLE_TERM: &str = "it is damaged or was put there by somebody else: move that file (or end that process) out of the way, then run the verb again";
/// A controller runs on the journal.
pub const END_CONTROLLER: &str =
    "end the controller first (Ctrl-C or SIGTERM of `gapless up`): traffic goes on without it";
/// The journal that is there is newer than the copy.
pub const NEWER_THAN_COPY: &str =
    "the journal that is there can be read and knows more: start `gapless up`; --older takes the copy all the same";
/// What runs is newer than the copy.
pub const OLDER_COPY: &str = "a newer copy may know of it; `gapless recover` rebuilds the journal from what runs";
/// An older copy was put in place.
pub const RECOVER_NEXT: &str = "`gapless recover` takes over what is newer and keeps the copy's history";
/// A copy cannot be used.
pub const ANOTHER_COPY: &str = "use another copy; `gapless recover` rebuilds the journal from what runs";
/// A journal cannot be rebuilt.
pub const NAME_COPY: &str = "`gapless restore FILE` puts a backup back; traffic goes on meanwhile";
/// A release that runs is not described anywhere.
pub const TELL_RELEASE: &str = "put the gapless.toml with which it was deployed into its folder under releases/ in the state folder, and run this again";
/// The manifests are of several journals.
pub const CHOOSE_MANIFESTS: &str = "`--manifests-of ID` rebuilds from those of one journal and sets the others aside, `--manifests-of all` from all of them; \
    --dry-run shows what comes of it";
/// The name of a backup cannot be.
pub const NAME_BACKUP: &str = "name a file such as /var/backups/gapless-journal.db";
/// A newer controller is at work.
pub const OTHER_CONTROLLER: &str = "end the other controller first if this one is to act; `gapless status` tells which";
/// Another controller uses the state folder.
pub const SECOND_CONTROLLER: &str =
    "`gapless status` shows the controller that runs; another one needs a folder of its own: --state DIR";
/// The journal was written by a newer Gapless.
pub const NEWER_JOURNAL: &str = "start the newer gapless that wrote it";
/// The disk is full.
pub const MAKE_ROOM: &str = "make room on the disk that holds the state folder";
/// An address is taken.
pub const PORT_IN_USE: &str =
    "end the other program (`ss -ltnp` shows it), or name another address under [[listener]] in gapless-server.toml";
/// The proxy does not come up.
pub const SEE_PROXY_LOG: &str = "proxy.log in the state folder says why";
/// The socket belongs to another user.
pub const BE_CONTROLLER_USER: &str = "the socket is for the controller's own user: run this as that user or as root";
/// The controller went away in the middle of an answer.
pub const LOOK_AT_CONTROLLER: &str =
    "services go on without it; start it again with `gapless up` and ask again: it goes on where it was";
/// Both sides do not understand each other.
pub const SAME_VERSION: &str = "controller and program may be more than one release apart: `gapless --version`, and `gapless status` for the controller's";
/// A rollout is being waited for.
pub const WATCH_ROLLOUT: &str = "`gapless status -w` watches it, `gapless abort` ends it";
/// The artefact is not there.
pub const NAME_ARTEFACT: &str = "--from names the folder or archive that is to be released";
/// A topic of `help` is not known.
pub const HELP_TOPICS: &str = "`gapless help config [KEY]`, `gapless help exit-codes` and `gapless help VERB` exist";
/// A configuration file is there already.
pub const FORCE_INIT: &str = "--force replaces it";
/// A label cannot be one.
pub const NAME_LABEL: &str = "--label takes 1 to 63 letters, digits and ._+-, such as 1.4.0";
/// The configuration is another service's.
pub const NAME_OTHER_CONFIG: &str = "leave the name out, or name that service's configuration with --config FILE";
/// A file cannot be read.
pub const READ_CONFIG: &str = "the file must be UTF-8 text that this user may read";
/// Something takes longer than it may.
pub const SEE_WHAT_WAITS: &str =
    "`gapless status` shows which instances still run, `gapless explain` what is waited for";
/// A side of a log difference cannot be read.
pub const NAME_LOGS: &str = "name a file, a folder of files, - for stdin, or the label of a release (with --service, or beside its gapless.toml); packed files must be unpacked first";
/// Both sides of a log difference are stdin.
pub const ONE_SIDE_FROM_STDIN: &str = "give one side as a file: `kubectl logs new | gapless logs diff old.log -`";
/// A file of known findings is wrong.
pub const KNOWN_FINDINGS: &str = "each [[known]] needs `signature` (a template or an id) and `reason`; it may have expires = \"2026-12-31\", logger, exception, severity_max";
/// A folder's name cannot be a service's.
pub const NAME_INIT: &str = "--service takes 1 to 63 lower-case letters, digits and inner hyphens";
/// A unit is there already.
pub const FORCE_UNIT: &str = "--force replaces it, --print shows what would be written";
/// A unit cannot be written.
pub const PRINT_UNIT: &str = "run this as root, or put what --print prints where your service manager looks";
/// A path cannot stand in a unit.
pub const PLAIN_PATH: &str = "use a path of letters, digits and /._-+@:,= alone, such as /usr/local/bin/gapless";
