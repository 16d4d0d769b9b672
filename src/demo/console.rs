//! `portway demo` for people: says what to open and what to try, and takes commands from the terminal.

use std::io;
use std::io::Write;

use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;
use tokio::sync::mpsc;

use crate::demo::centre::Centre;
use crate::demo::room::Room;
use crate::demo::site::APP;
use crate::demo::site::LOGIN;
use crate::demo::site::OTHER;

/// Serves until a signal comes, or until told to quit.
///
/// # Errors
/// When signals cannot be waited for, or nothing can be printed.
pub(super) async fn serve(room: &Room<'_>) -> anyhow::Result<()> {
    invite(&mut io::stdout(), room)?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut lines = lines_of_terminal();
    let mut is_open = true;
    loop {
        tokio::select! {
            _ = interrupt.recv() => return Ok(()),
            _ = terminate.recv() => return Ok(()),
            line = lines.recv(), if is_open => match line {
                Some(line) => {
                    let said = obey(room, line.trim()).await;
                    match said {
                        Some(said) => writeln!(io::stdout(), "{said}")?,
                        None => return Ok(()),
                    }
                }
                // Nobody is at the terminal.
                None => is_open = false,
            }
        }
    }
}

/// The lines that are typed. A thread of its own reads them, which nothing waits for at the end.
fn lines_of_terminal() -> mpsc::Receiver<String> {
    let (sender, lines) = mpsc::channel(1);
    std::thread::spawn(move || {
        for line in io::stdin().lines().map_while(Result::ok) {
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    lines
}

/// Does what a line says; none when that is to quit.
async fn obey(room: &Room<'_>, line: &str) -> Option<String> {
    let mut words = line.split_whitespace();
    let verb = words.next().unwrap_or_default();
    let centre = match words.next().map(str::to_ascii_lowercase).as_deref() {
        Some("a") => Some(&room.a),
        Some("b") => Some(&room.b),
        Some(_) | None => None,
    };
    Some(match (verb, centre) {
        ("", _) => state(room),
        ("cut", _) => {
            room.network.cut();
            "A and B cannot reach each other any more; browsers still reach both".to_owned()
        }
        ("heal", _) => {
            room.network.heal();
            "A and B reach each other again".to_owned()
        }
        ("kill", Some(centre)) => said(centre.kill(), centre, "is killed, as by kill -9"),
        ("start", Some(centre)) => said(centre.start().await, centre, "is running"),
        ("quit" | "exit", _) => return None,
        _ => "Commands: cut, heal, kill a, kill b, start a, start b, quit".to_owned(),
    })
}

fn said(done: anyhow::Result<()>, centre: &Centre, what: &str) -> String {
    match done {
        Ok(()) => format!("{} {what}", centre.name),
        Err(error) => format!("{error:#}"),
    }
}

fn state(room: &Room<'_>) -> String {
    let of = |centre: &Centre| {
        let state = if centre.is_running() {
            "running"
        } else {
            "stopped"
        };
        format!("{} is {state}", centre.name)
    };
    format!("{}, {}", of(&room.a), of(&room.b))
}

fn invite(out: &mut dyn Write, room: &Room<'_>) -> io::Result<()> {
    let (a, b) = (room.a.site, room.b.site);
    let (app, other) = (a.https_url(APP, "/"), a.https_url(OTHER, "/"));
    let (login, public) = (a.https_url(LOGIN, "/"), a.https_url(APP, "/public"));
    let at_b = b.https_url(APP, "/");
    let (ca, folder) = (room.ca_file(), room.folder());
    write!(
        out,
        "
Portway is running: two data centres, A and B, on 127.0.0.1 only. Files and logs are in
  {folder}

Users        alice / alice-demo   group staff
             carol / carol-demo   groups staff, admins

Open         {app}   in data centre A
             {at_b}   in data centre B
Certificate  the browser warns once per name, or trust {ca}
             for the time being; it can only vouch for *.portway.localhost

Try
  1. Open {app}some/deep/link?with=query and sign in as alice:
     you arrive where you wanted to go, and the page shows what the application was told.
  2. Open {other}: another application, no second sign-in.
  3. Open {at_b}: another data centre, no second sign-in either. B has
     taken the session over from A, with its age and its idle time.
  4. Type `cut` here, then open A and B: each serves on from what it knows. Sign out in one;
     type `heal`: it holds in the other as well, also for copied cookies.
  5. Type `kill a` and go on in B. `start a` brings it back.
  6. Open {app}clock: a WebSocket that lives as long as the session.
     Sign out in another window, in either data centre, and watch it.
  7. Open {app}admin: forbidden for alice. Sign out, sign in as carol: the page
     stops and starts the sample applications, so that fail-over can be watched.
  8. Without a browser:
       curl --cacert {ca} {public}
       curl --cacert {ca} -H 'Accept: application/json' {app}

The sign-in page is at {login}.
Commands: cut, heal, kill a, kill b, start a, start b. Stop with Ctrl-C.
",
        folder = folder.display(),
        ca = ca.display(),
    )
}
