//! The pages of the sample applications.
//!
//! Everything that came in with a request is escaped: an echo page is the first place for a script
//! that does not belong there.

use serde_json::json;

use crate::demo::apps::Apps;
use crate::demo::apps::Instance;
use crate::demo::apps::Kind;
use crate::demo::apps::answer::Received;
use crate::demo::site::APP;
use crate::demo::site::OTHER;
use crate::demo::site::Site;

/// The echo page: what the application received.
pub(super) fn echo(instance: &Instance, received: &Received, site: Site) -> String {
    let rows: String = headers(received)
        .map(|(name, value)| {
            format!(
                "<tr><th scope=\"row\">{}</th><td>{}</td></tr>\n",
                escape(&name),
                escape(&value)
            )
        })
        .collect();
    let content = format!(
        "<p>This is what the application received:</p>\n\
         <pre>{method} {target}\nfrom {peer}, {length} bytes of body</pre>\n\
         <table>{rows}</table>\n",
        method = escape(received.method.as_str()),
        target = escape(&received.target),
        peer = received.peer,
        length = received.body.len(),
    );
    page("Echo", instance, &content, (received, site))
}

/// What the application received, for programs.
pub(super) fn echo_json(instance: &Instance, received: &Received) -> serde_json::Value {
    json!({
        "instance": instance.name,
        "tier": instance.tier.name(),
        "method": received.method.as_str(),
        "target": received.target,
        "peer": received.peer.to_string(),
        "headers": headers(received).collect::<Vec<_>>(),
        "body_bytes": received.body.len(),
    })
}

/// The page with the clock.
pub(super) fn clock(instance: &Instance, received: &Received, site: Site) -> String {
    page("Clock", instance, CLOCK, (received, site))
}

/// The page for administrators.
pub(super) fn admin(instance: &Instance, received: &Received, apps: &Apps) -> String {
    let rows: String = apps
        .instances()
        .iter()
        .filter(|one| one.kind != Kind::Admin)
        .map(|one| {
            let (state, verb) = if one.is_running() {
                ("running", "stop")
            } else {
                ("stopped", "start")
            };
            format!(
                "<tr><th scope=\"row\">{name}</th><td>{tier}</td><td>{state}</td><td>\
                 <form method=\"post\" action=\"/admin/{verb}\"><button name=\"instance\" \
                 value=\"{name}\">{verb} {name}</button></form></td></tr>\n",
                name = escape(&one.name),
                tier = one.tier.name(),
            )
        })
        .collect();
    let content = format!(
        "<p>Only the group <code>admins</code> gets here. Stop applications and see the others take \
         over on the <a href=\"/\">echo page</a>: secondaries serve once no primary is left.</p>\n\
         <table>{rows}</table>\n"
    );
    page("Administration", instance, &content, (received, apps.site))
}

fn page(
    title: &str,
    instance: &Instance,
    content: &str,
    (received, site): (&Received, Site),
) -> String {
    let host = received.header("host").unwrap_or_default();
    let user = match received.header("remote-user") {
        Some(user) => format!(
            "signed in as <strong>{}</strong> ({})",
            escape(&user),
            escape(&received.header("remote-groups").unwrap_or_default())
        ),
        None => "not signed in".to_owned(),
    };
    let link = |host: &str, path: &str, text: &str| {
        format!("<a href=\"{}\">{text}</a>", site.https_url(host, path))
    };
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title} – {host}</title>\n\
         <style>{STYLE}</style>\n</head>\n<body>\n<header><h1>{title}</h1><p>{host} · {user} · \
         served by {instance} ({tier})</p>\n<nav>{echo} {deep} {public} {clock} {admin} {other}\n\
         <form method=\"post\" action=\"/.portway/logout\"><button>Sign out</button></form></nav>\
         </header>\n<main>\n{content}</main>\n</body>\n</html>\n",
        host = escape(&host),
        instance = escape(&instance.name),
        tier = instance.tier.name(),
        echo = link(APP, "/", "Echo"),
        deep = link(APP, "/some/deep/link?with=query", "Deep link"),
        public = link(APP, "/public", "Public page"),
        clock = link(APP, "/clock", "Clock"),
        admin = link(APP, "/admin", "Administration"),
        other = link(OTHER, "/", "Other application"),
    )
}

fn headers(received: &Received) -> impl Iterator<Item = (String, String)> {
    received.headers.iter().map(|(name, value)| {
        (
            name.to_string(),
            String::from_utf8_lossy(value.as_bytes()).into_owned(),
        )
    })
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

const STYLE: &str = "
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
nav { display: flex; flex-wrap: wrap; gap: 1rem; align-items: center; margin: 1rem 0; }
form { display: inline; margin: 0; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .25rem .75rem .25rem 0;
  border-bottom: 1px solid #8884; overflow-wrap: anywhere; }
th { white-space: nowrap; font-weight: 600; }
pre, output { font: 1rem/1.5 ui-monospace, monospace; white-space: pre-wrap; overflow-wrap: anywhere; }
:root { color-scheme: light dark; }
";

const CLOCK: &str = "<p>The time, each second, over a WebSocket:</p>
<p><output id=\"time\">…</output></p>
<p>Sign out in another window: the gateway closes the stream.</p>
<script>
const time = document.getElementById('time');
const socket = new WebSocket('wss://' + location.host + '/clock/ws');
socket.onmessage = event => { time.textContent = event.data; };
socket.onclose = () => { time.textContent += ' – closed'; };
</script>
";
