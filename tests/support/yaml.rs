//! Pieces of configurations that most tests begin with.

/// Listeners, collector and users: all listeners on free ports of 127.0.0.1, cheap to hash passwords.
pub(crate) const HEAD: &str = "\
threads: 2
listeners:
  - name: https
    bind: 127.0.0.1:0
    tls: { certificates: [{ certificate_file: cert.pem, key_file: key.pem }] }
  - { name: http, bind: 127.0.0.1:0 }
collector: { host: login.test, title: Sign in }
authentication: { users_file: users.yaml }
";

/// [`HEAD`] with another section `authentication`, and a collector whose address has no port, so that others can be
/// told of it beforehand.
pub(crate) fn signing_in_by(section: &str) -> String {
    HEAD.replace("title: Sign in", "title: Sign in, public_port: 443")
        .replace("authentication: { users_file: users.yaml }\n", section)
}

/// Policies that most tests refer to.
pub(crate) const POLICIES: &str = "\
policies:
  anybody: [{ allow: signed_in }]
  admins: [{ allow: { group: [admins] } }]
";

/// A whole configuration: `app.test` and `other.test` protected before one pool with these upstreams,
/// `/public` open to all, `/plain` excluded, `/admin` for admins.
pub(crate) fn applications(upstreams: &[std::net::SocketAddr]) -> String {
    format!("{HEAD}{}", sites(upstreams))
}

/// Pools, policies and virtual hosts of [`applications`], for a head of the test's own.
pub(crate) fn sites(upstreams: &[std::net::SocketAddr]) -> String {
    let members: Vec<String> = upstreams.iter().map(|at| format!("\"{at}\"")).collect();
    let members = members.join(", ");
    format!(
        "\
pools:
  app: {{ primary: [{members}] }}
{POLICIES}virtual_hosts:
  - host: app.test
    routes:
      - {{ path: /public, access: unprotected, pool: app }}
      - {{ path: /plain, access: excluded, pool: app }}
      - {{ path: /admin, access: protected, policy: admins, pool: app }}
      - {{ path: /, access: protected, policy: anybody, pool: app }}
  - host: other.test
    routes: [{{ path: /, access: protected, policy: anybody, pool: app }}]
"
    )
}

/// A whole configuration: everything under `app.test` open, before a pool with these settings.
pub(crate) fn pool(settings: &str) -> String {
    format!(
        "{HEAD}pools: {{ app: {{ {settings} }} }}
virtual_hosts:
  - host: app.test
    routes: [{{ path: /, access: excluded, pool: app }}]
"
    )
}
