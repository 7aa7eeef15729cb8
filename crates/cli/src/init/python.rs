//! What kind of Python service lies in a folder: which module, which server, which environment.

use super::listing::{Found, Listing, READS_PORT, found};

/// Said where there is no virtual environment in the folder.
const NO_ENVIRONMENT: &str = "The packages it needs must be found by python3. A virtual environment in this folder becomes part of the release: `python3 -m venv .venv`, \
     `.venv/bin/pip install -r requirements.txt`, and `gapless init --force` once more.";
/// Said where there is one.
const ENVIRONMENT: &str = "The virtual environment in this folder is part of the release. Its programs are run by `python -m`: those in its bin/ would use the \
     environment of the folder they were installed in.";

/// Finds out which.
pub(super) fn python(folder: &Listing) -> Option<Found> {
    let needs = format!("{}{}", folder.text("requirements.txt"), folder.text("pyproject.toml")).to_lowercase();
    let needs = |names: &[&str]| names.iter().any(|name| needs.contains(name));
    let file = folder.first_of(&[
        "main.py",
        "app.py",
        "server.py",
        "wsgi.py",
        "asgi.py",
        "app/main.py",
        "app/app.py",
        "app/__init__.py",
        "src/main.py",
        "src/app.py",
    ]);
    let is_known =
        file.is_some() || ["requirements.txt", "pyproject.toml", "manage.py"].iter().any(|name| folder.has(name));
    if !is_known {
        return None;
    }
    let module = file.map_or_else(|| "app".to_owned(), module_of);
    let venv = [".venv", "venv", "env"].into_iter().find(|venv| folder.has(&format!("{venv}/pyvenv.cfg")));
    let run = |what, module: &str, arguments: &str, notes: &[&str]| {
        // In a virtual environment by the module of the same name, so that the release's own is used.
        let command = match venv {
            Some(venv) => format!("{venv}/bin/python -m {module} {arguments}"),
            None => format!("{module} {arguments}"),
        };
        let environment = if venv.is_some() { ENVIRONMENT } else { NO_ENVIRONMENT };
        Some(found(what, &command, &[notes, &[environment]].concat()))
    };
    let bind = "127.0.0.1:{port}";
    if folder.has("manage.py") {
        return match project(folder) {
            Some(project) => run("a Django service", "gunicorn", &format!("--bind {bind} {project}.wsgi"), &[]),
            None => {
                let note = "Name the project's wsgi module instead of `project.wsgi`.";
                run("a Django service", "gunicorn", &format!("--bind {bind} project.wsgi"), &[note])
            }
        };
    }
    if needs(&["fastapi", "uvicorn", "starlette"]) {
        return run("an ASGI service", "uvicorn", &format!("{module}:app --host 127.0.0.1 --port {{port}}"), &[]);
    }
    if needs(&["flask", "gunicorn", "django", "bottle"]) {
        return run("a WSGI service", "gunicorn", &format!("--bind {bind} {module}:app"), &[]);
    }
    let python = venv.map_or_else(|| "python3".to_owned(), |venv| format!("{venv}/bin/python"));
    let script = file.unwrap_or("app.py");
    let command = if script.contains('/') { format!("{python} -m {module}") } else { format!("{python} {script}") };
    Some(found("a Python service", &command, &[READS_PORT]))
}

/// `app/main.py` is the module `app.main`.
fn module_of(file: &str) -> String {
    let path = file.trim_end_matches(".py").replace('/', ".");
    path.strip_suffix(".__init__").map_or(path.clone(), str::to_owned)
}

/// The name of a Django project: what `manage.py` says of its settings, else the one folder with a wsgi module.
fn project(folder: &Listing) -> Option<String> {
    let manage = folder.text("manage.py");
    let quoted = |text: &str| {
        let begin = text.find(['"', '\''])? + 1;
        let end = begin + text[begin..].find(['"', '\''])?;
        Some(text[begin..end].to_owned())
    };
    let settings = manage.split_once("DJANGO_SETTINGS_MODULE").and_then(|(_, after)| quoted(after.split_once(',')?.1));
    let named = settings.and_then(|settings| Some(settings.split_once(".settings")?.0.to_owned()));
    let fine = |name: &String| !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '.'));
    named.filter(fine).or_else(|| {
        let mut modules = folder.files.keys().filter_map(|name| name.strip_suffix("/wsgi.py"));
        match (modules.next(), modules.next()) {
            (Some(only), None) => Some(only.to_owned()),
            _ => None,
        }
    })
}
