//! What every nginx started here has in common: nothing of it lies outside a folder of its own.

use std::path::Path;
use std::process::Command;

use crate::tools;

/// The name of the configuration in the folder.
pub const FILE: &str = "nginx.conf";

/// nginx over the configuration in a folder, `-s reload` or the like still to be added.
pub fn command(folder: &Path) -> Command {
    let mut command = Command::new(tools::find("nginx").unwrap_or_else(|| "nginx".into()));
    command.arg("-p").arg(folder).arg("-c").arg(folder.join(FILE));
    command
}

/// nginx in the foreground.
pub fn in_foreground(folder: &Path) -> Command {
    let mut command = command(folder);
    command.args(["-g", "daemon off;"]);
    command
}

/// A configuration with one worker: its files in the folder, and these lines of the section `http`.
pub fn configuration(folder: &Path, connections: u32, http: &str) -> String {
    // Its workers have to reach the folder, which is root's where root runs this.
    let user = if rustix::process::getuid().is_root() { "user root;\n" } else { "" };
    let descriptors = 4 * connections;
    let folder = folder.display();
    format!(
        "{user}worker_processes 1;
worker_rlimit_nofile {descriptors};
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections {connections}; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  client_max_body_size 32m;
{http}}}
"
    )
}
